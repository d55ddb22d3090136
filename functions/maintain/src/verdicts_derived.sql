-- $1 the sites, $2 the first hour, $3 the end of the last.
with derived as materialized (
    select * from derive_verdicts($1, $2, $3)
),
left_to_the_next as (
    insert into location_states_hourly
    select (location_state).*
    from derived
    where (location_state).hour is not null
    order by (location_state).website_id, (location_state).location_id, (location_state).hour
)
insert into verdicts_hourly
select (verdict).*
from derived
where (verdict).hour is not null
order by (verdict).website_id, (verdict).started_at
