-- $1 the hour, $2 the websites or null. A slot that was checked twice counts twice, up to the whole hour:
-- telling them apart would take sorting all checks. Response times as `response_times_hourly` has them, of
-- checks in which an answer came, but an element for each.
select website_id, location_id,
    count(*) filter (where up and not maintenance),
    count(*) filter (where not up and not maintenance),
    coalesce(least(sum(interval_ms) filter (where up is not null), 3600000), 0),
    array_agg(histogram_element(histogram_bucket(total_us), 1))
        filter (where up is not null and not maintenance and status is not null)
from checks
where checked_at >= $1 and checked_at < $1 + interval '1 hour'
    and ($2::int4[] is null or website_id = any ($2))
group by website_id, location_id
