-- $1 the day.
insert into checks_daily (
    day, website_id, location_id, checks, up, down, unknown, maintenance, outcomes, first_at, last_at,
    slots, duplicates, covered_ms
)
select $1, counts.website_id, counts.location_id, checks, up, down, unknown, maintenance,
    coalesce(outcomes, '{}'), first_at, last_at, slots, duplicates, covered_ms
from (
    select website_id, location_id,
        sum(checks) as checks, sum(up) as up, sum(down) as down, sum(unknown) as unknown,
        sum(maintenance) as maintenance, min(first_at) as first_at, max(last_at) as last_at,
        sum(slots) as slots, sum(duplicates) as duplicates, sum(covered_ms) as covered_ms
    from checks_hourly
    where hour >= $1::timestamp at time zone 'UTC' and hour < ($1 + 1)::timestamp at time zone 'UTC'
    group by website_id, location_id
) as counts
left join (
    select website_id, location_id, array_agg(histogram_element(code, counted) order by code) as outcomes
    from (
        select website_id, location_id, element >> 22 as code, sum(element & 4194303)::bigint as counted
        from checks_hourly
        cross join unnest(outcomes) as element
        where hour >= $1::timestamp at time zone 'UTC' and hour < ($1 + 1)::timestamp at time zone 'UTC'
        group by website_id, location_id, element >> 22
    ) as by_code
    group by website_id, location_id
) as by_site using (website_id, location_id)
order by counts.website_id, counts.location_id
