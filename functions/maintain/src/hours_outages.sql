-- $1 the hour, of which the checks are counted. Unbroken failures of a site from a location.
with known as (
    select counted.website_id, counted.location_id, one.checked_at, one.up, one.outcome, one.error
    -- Few are down in an hour: the others' checks are not put in order.
    from (select website_id, location_id from checks_hourly where hour = $1 and down > 0) as counted
    cross join lateral (
        select checks.checked_at, checks.up, checks.outcome, checks.error
        from checks
        where checks.website_id = counted.website_id and checks.location_id = counted.location_id
            and checks.checked_at >= $1 and checks.checked_at < $1 + interval '1 hour'
            and checks.up is not null and not checks.maintenance
        offset 0
    ) as one
),
compared as (
    select known.*, up is distinct from lag(up) over of_pair as is_other
    from known
    window of_pair as (partition by website_id, location_id order by checked_at)
),
-- What is unbroken has a number, which grows where `up` changes.
numbered as (
    select compared.*, count(*) filter (where is_other) over of_pair as run
    from compared
    window of_pair as (partition by website_id, location_id order by checked_at)
),
runs as (
    select
        website_id, location_id, run, up,
        min(checked_at) as first_at,
        max(checked_at) as last_at,
        count(*) as checks,
        (array_agg(outcome order by checked_at))[1] as outcome,
        (array_agg(error order by checked_at))[1] as error,
        lead(min(checked_at)) over (partition by website_id, location_id order by run) as next_at
    from numbered
    group by website_id, location_id, run, up
)
insert into outages_hourly (
    hour, website_id, location_id, started_at, last_down_at, ended_at, checks, outcome, follows_up, error
)
select $1, website_id, location_id, first_at, last_at, next_at, checks, outcome, run > 1, error
from runs
where not up
order by website_id, location_id, first_at
