-- $1 the hour, $2 when the day of the last hour before it begins, $3 the first website of the portion,
-- $4 the one after its last.
select
    website_id, location_id,
    sum(up), coalesce(sum(up) filter (where hour >= $2), 0),
    sum(down), coalesce(sum(down) filter (where hour >= $2), 0),
    coalesce(sum(covered_ms), 0)::int8, coalesce(sum(covered_ms) filter (where hour >= $2), 0)::int8,
    coalesce(sum(duplicates), 0)
from checks_hourly
where hour >= $1 - interval '24 hours' and hour < $1
    and website_id >= $3 and website_id < $4
group by website_id, location_id
