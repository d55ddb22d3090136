-- $1 the hour, $2 the first website of the portion, $3 the one after its last.
insert into checks_hourly (
    hour, website_id, location_id, checks, up, down, unknown, maintenance, outcomes,
    first_at, last_at, first_known_at, last_known_at
)
select $1, website_id, location_id,
    sum(counted),
    coalesce(sum(counted) filter (where up and not maintenance), 0),
    coalesce(sum(counted) filter (where not up and not maintenance), 0),
    coalesce(sum(counted) filter (where up is null and not maintenance), 0),
    coalesce(sum(counted) filter (where maintenance), 0),
    coalesce(
        array_agg(histogram_element(outcome, counted) order by outcome) filter (where not maintenance),
        '{}'
    ),
    min(first_at),
    max(last_at),
    min(first_at) filter (where up is not null and not maintenance),
    max(last_at) filter (where up is not null and not maintenance)
from (
    select website_id, location_id, outcome, up, maintenance,
        count(*) as counted, min(checked_at) as first_at, max(checked_at) as last_at
    from checks
    where checked_at >= $1 and checked_at < $1 + interval '1 hour'
        and website_id >= $2 and website_id < $3
    group by website_id, location_id, outcome, up, maintenance
) as by_outcome
group by website_id, location_id
order by website_id, location_id
