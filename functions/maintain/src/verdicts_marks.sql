-- $1 the hour.
insert into dirty_verdicts (website_id, from_hour)
select distinct changed.website_id, $1 + interval '1 hour'
from (
    select website_id, location_id
    from states_before as old
    full join (select * from location_states_hourly where hour = $1) as new using (website_id, location_id)
    where (old.hour, old.up, old.failing_since, old.failing_outcome, old.failing_error, old.results)
        is distinct from (new.hour, new.up, new.failing_since, new.failing_outcome, new.failing_error, new.results)
    union all
    -- Until when a location reports matters where something is wrong.
    select website_id, location_id
    from known_before as old
    full join (select * from checks_hourly where hour = $1) as new using (website_id, location_id)
    where old.last_known_at is distinct from new.last_known_at
        and website_id in (
            select unsettled_sites($1 + interval '1 hour')
            union
            select later.website_id from location_states_hourly as later where later.hour > $1
        )
) as changed
join websites on websites.id = changed.website_id
-- Where the next hour waits as well and the location was heard in it, that hour carries it on.
where not (
    reporting_limit(websites.check_interval) <= interval '1 hour'
    and exists (select from dirty_hours where hour = $1 + interval '1 hour')
    and exists (
        select from checks
        where checks.website_id = changed.website_id and checks.location_id = changed.location_id
            and checks.checked_at >= $1 + interval '1 hour' and checks.checked_at < $1 + interval '2 hours'
            and checks.up is not null and not checks.maintenance
    )
)
on conflict (website_id) do update set from_hour = least(dirty_verdicts.from_hour, excluded.from_hour)
