-- $1 the websites or null, $2 the fresh hours, $3 and $4 their ends. As `response_times_hourly` has
-- them: checks in which an answer came.
select website_id, location_id, array_agg(histogram_element(bucket, counted))
from (
    select website_id, location_id, bucket, count(*) as counted
    from (
        select website_id, location_id, histogram_bucket(total_us) as bucket
        from checks
        where checked_at >= $3 and checked_at < $4
            and date_trunc('hour', checked_at, 'UTC') = any ($2)
            and up is not null and not maintenance and status is not null
            and ($1::int4[] is null or website_id = any ($1))
    ) as measured
    group by website_id, location_id, bucket
) as buckets
group by website_id, location_id
