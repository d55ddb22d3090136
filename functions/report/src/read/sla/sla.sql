-- $1 where the period begins and $2 where it ends, now at the latest; $3 the websites or null; $4 the
-- label that groups or null; $5 how old a site's newest check may be, in seconds; $6 the first day and
-- $7 the one after the last that are read from the daily rollups, but for $8, days that only their
-- hours have all of; $9 hours that are read from the hourly ones; $10 hours that are read from the
-- checks, with $11 and $12 their ends; $13 the one of these that running_hour has until $14, or null.
with sites as materialized (
    select websites.id, websites.name, websites.labels ->> $4 as label,
        seen.first_known_at, newest.checked_at, seen.first_scheduled_at, seen.scheduled_at, seen.interval_ms,
        coalesce(newest.checked_at < now() - greatest(
            make_interval(secs => $5),
            make_interval(secs => 3 * coalesce(websites.check_interval, 0))
        ), true) as is_stale
    from websites
    left join (
        select website_id, min(first_known_at) as first_known_at,
            min(first_scheduled_at) filter (where interval_ms is not null) as first_scheduled_at,
            max(checked_at) filter (where interval_ms is not null) as scheduled_at,
            max(interval_ms) as interval_ms
        from website_states
        group by website_id
    ) as seen on seen.website_id = websites.id
    left join (
        select website_id, max(checked_at) as checked_at
        from current_states
        group by website_id
    ) as newest on newest.website_id = websites.id
    where (websites.enabled or seen.website_id is not null)
        and ($3::int4[] is null or websites.id = any ($3))
),
downs as (
    select website_id, count(*) as incidents,
        sum(greatest(floor(extract(epoch from least(ended_at, $2) - greatest(opened_at, $1))), 0)) as down_s
    from (
        select sites.id as website_id, incident.opened_at,
            case
                when incident.closed_at is not null then incident.closed_at
                -- Nothing is known since.
                when sites.is_stale then coalesce(incident.last_failed_at, incident.opened_at)
                else now()
            end as ended_at
        from find_incidents($1) as incident
        join sites on sites.id = incident.website_id
    ) as found
    where opened_at < $2 and (ended_at > $1 or opened_at >= $1)
    group by website_id
),
-- Of several locations the one that covers most of a day, or hour: nobody knows how far what the
-- others cover is the same time.
covered as (
    select website_id, sum(covered_ms) as covered_ms
    from (
        select website_id, max(covered_ms) as covered_ms
        from checks_daily
        where day >= $6 and day < $7 and not (day = any ($8))
            and ($3::int4[] is null or website_id = any ($3))
        group by website_id, day
        union all
        select website_id, max(covered_ms)
        from checks_hourly
        where hour = any ($9) and ($3::int4[] is null or website_id = any ($3))
        group by website_id, hour
        union all
        select website_id, max(covered_ms)
        from (
            select website_id, hour, least(sum(covered_ms), 3600000) as covered_ms
            from (
                select website_id, location_id, $13::timestamptz as hour, covered_ms
                from running_hour
                where $3::int4[] is null or website_id = any ($3)
                union all
                select website_id, location_id, date_trunc('hour', checked_at, 'UTC') as hour,
                    coalesce(sum(interval_ms) filter (where up is not null), 0)
                from checks
                where checked_at >= $11 and checked_at < $12
                    and not coalesce(checked_at >= $13 and checked_at < $14, false)
                    and ($3::int4[] is null or website_id = any ($3))
                group by website_id, location_id, hour
            ) as summed
            group by website_id, location_id, hour
        ) as fresh
        where hour = any ($10)
        group by website_id, hour
    ) as parts
    group by website_id
)
select sites.name, sites.label, sites.first_known_at, sites.checked_at, sites.is_stale,
    sites.first_scheduled_at, sites.scheduled_at, sites.interval_ms,
    coalesce(downs.incidents, 0)::int8, coalesce(downs.down_s, 0)::int8,
    coalesce(covered.covered_ms, 0)::int8
from sites
left join downs on downs.website_id = sites.id
left join covered on covered.website_id = sites.id
order by downs.down_s desc nulls last, sites.name
