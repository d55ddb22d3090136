-- $1 the first hour of the first window, $2 hours to be read from the hourly rollups, $3 today,
-- $4 the fresh hours, $5 and $6 their ends, $7 the websites or null, $8 days that only their hours
-- have all of.
-- Of the fresh hours a slot that was checked twice counts twice, up to the whole hour: telling them
-- apart would take sorting all of their checks.
select website_id, location_id, $3 - day, in_day, day >= $3 or day = any ($8), sum(up)::int8, sum(down)::int8,
    coalesce(sum(covered_ms), 0)::int8, coalesce(sum(duplicates), 0)::int8
from (
    select website_id, location_id, (hour at time zone 'UTC')::date as day, hour >= $1 as in_day, up, down,
        covered_ms, duplicates
    from checks_hourly
    where hour = any ($2) and ($7::int4[] is null or website_id = any ($7))
    union all
    select website_id, location_id, (hour at time zone 'UTC')::date, hour >= $1,
        -- As the rollups have them: the sum of larger numbers takes longer.
        (count(*) filter (where up and not maintenance))::int4,
        (count(*) filter (where not up and not maintenance))::int4,
        least(sum(interval_ms) filter (where up is not null), 3600000), 0
    from (
        select date_trunc('hour', checked_at, 'UTC') as hour, website_id, location_id, up, maintenance, interval_ms
        from checks
        where checked_at >= $5 and checked_at < $6
            and ($7::int4[] is null or website_id = any ($7))
    ) as fresh
    where hour = any ($4)
    group by website_id, location_id, hour
) as by_hour
group by website_id, location_id, day, in_day
