-- $1 the day, $2 the first website of the portion, $3 the one after its last.
insert into response_times_daily (
    day, website_id, location_id, total, dns, connect, tls, first_byte, body
)
select $1, website_id, location_id,
    coalesce(array_agg(element order by element) filter (where phase = 0), '{}'),
    coalesce(array_agg(element order by element) filter (where phase = 1), '{}'),
    coalesce(array_agg(element order by element) filter (where phase = 2), '{}'),
    coalesce(array_agg(element order by element) filter (where phase = 3), '{}'),
    coalesce(array_agg(element order by element) filter (where phase = 4), '{}'),
    coalesce(array_agg(element order by element) filter (where phase = 5), '{}')
from (
    select website_id, location_id, phase,
        histogram_element(part >> 22, sum(part & 4194303)::bigint) as element
    from response_times_hourly
    cross join lateral (
        values (0, total), (1, dns), (2, connect), (3, tls), (4, first_byte), (5, body)
    ) as measured (phase, histogram)
    cross join lateral unnest(histogram) as part
    where hour >= $1::timestamp at time zone 'UTC' and hour < ($1 + 1)::timestamp at time zone 'UTC'
        and website_id >= $2 and website_id < $3
    group by website_id, location_id, phase, part >> 22
) as buckets
group by website_id, location_id
order by website_id, location_id
