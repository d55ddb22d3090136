-- $1 the hour, $2 until when. The counts of functions/report/src/read/fresh.sql, without the limit of an hour:
-- the rest of the hour is added to them.
insert into running_hour (website_id, location_id, up, down, covered_ms, total)
select website_id, location_id,
    count(*) filter (where up and not maintenance),
    count(*) filter (where not up and not maintenance),
    coalesce(sum(interval_ms) filter (where up is not null), 0),
    array_agg(histogram_element(histogram_bucket(total_us), 1))
        filter (where up is not null and not maintenance and status is not null)
from checks
where checked_at >= $1 and checked_at < $2
group by website_id, location_id
