-- $1 the hour, $2 the websites or null, $3 from when on its checks are read, $4 whether those before are in
-- running_hour. A slot that was checked twice counts twice, up to the whole hour: telling them apart would
-- take sorting all checks. Response times as `response_times_hourly` has them, of checks in which an answer
-- came, but an element for each.
select website_id, location_id,
    coalesce(summed.up, 0) + coalesce(read.up, 0),
    coalesce(summed.down, 0) + coalesce(read.down, 0),
    least(coalesce(summed.covered_ms, 0) + coalesce(read.covered_ms, 0), 3600000),
    summed.total || read.total
from (
    select *
    from running_hour
    where $4 and ($2::int4[] is null or website_id = any ($2))
) as summed
full join (
    select website_id, location_id,
        count(*) filter (where up and not maintenance) as up,
        count(*) filter (where not up and not maintenance) as down,
        sum(interval_ms) filter (where up is not null) as covered_ms,
        array_agg(histogram_element(histogram_bucket(total_us), 1))
            filter (where up is not null and not maintenance and status is not null) as total
    from checks
    where checked_at >= $3 and checked_at < $1 + interval '1 hour'
        and ($2::int4[] is null or website_id = any ($2))
    group by website_id, location_id
) as read using (website_id, location_id)
