-- $1 the hour, $2 the first website of the portion, $3 the one after its last.
-- A status means that an answer came: how long a timeout took is not a response time.
insert into response_times_hourly (
    hour, website_id, location_id, total, dns, connect, tls, first_byte, body
)
select $1, website_id, location_id,
    coalesce(array_agg(element order by element) filter (where phase = 0), '{}'),
    coalesce(array_agg(element order by element) filter (where phase = 1), '{}'),
    coalesce(array_agg(element order by element) filter (where phase = 2), '{}'),
    coalesce(array_agg(element order by element) filter (where phase = 3), '{}'),
    coalesce(array_agg(element order by element) filter (where phase = 4), '{}'),
    coalesce(array_agg(element order by element) filter (where phase = 5), '{}')
from (
    select website_id, location_id, phase, histogram_element(bucket, count(*)) as element
    from (
        select website_id, location_id, phase, histogram_bucket(taken) as bucket
        from checks
        cross join lateral (
            values (0, total_us), (1, dns_us), (2, connect_us), (3, tls_us), (4, first_byte_us), (5, body_us)
        ) as measured (phase, taken)
        where checked_at >= $1 and checked_at < $1 + interval '1 hour'
            and website_id >= $2 and website_id < $3
            and up is not null and not maintenance and status is not null
            and taken is not null
    ) as measurements
    group by website_id, location_id, phase, bucket
) as buckets
group by website_id, location_id
order by website_id, location_id
