-- $1 the websites or null, $2 the fresh hours, $3 and $4 their ends. A slot that was checked twice counts
-- twice, up to the whole hour: telling them apart would take sorting all checks.
select hour, website_id, location_id,
    count(*) filter (where up and not maintenance),
    count(*) filter (where not up and not maintenance),
    coalesce(least(sum(interval_ms) filter (where up is not null), 3600000), 0),
    0::int8
from (
    select date_trunc('hour', checked_at, 'UTC') as hour, website_id, location_id, up, maintenance, interval_ms
    from checks
    where checked_at >= $3 and checked_at < $4
        and ($1::int4[] is null or website_id = any ($1))
) as fresh
where hour = any ($2)
group by website_id, location_id, hour
