-- $1 how old the newest check may be, in seconds; $2 the websites or null; $3 the states or null; $4 whether
-- trailing_hours is taken; $5 and $6 the hours that are added to it and taken away from it.
-- A site appears once per location, and once without a location when it was never checked; what is
-- broken has the lowest rank, and the first line of each site is marked. Errors of failures that are
-- over come from the rollups: at most an hour late. What is not selected of it is not read either.
with verdicts as materialized (
    select * from current_verdicts($2)
)
select
    shown.rank, shown.website_id, shown.location_id, shown.site, shown.location, shown.state,
    case when shown.state in ('up', 'down') then shown.since end as since,
    shown.checked_at, shown.dns_us, shown.connect_us, shown.tls_us, shown.first_byte_us, shown.body_us,
    shown.total_us, shown.certificate_not_after, shown.verdict,
    row_number() over (partition by shown.website_id order by shown.rank, shown.location) = 1 as is_first,
    shown.chain_not_after, shown.chain_subject, shown.chain_host, shown.labels,
    shown.url, shown.word, shown.status, shown.certificate_issuer, shown.error, shown.last_error,
    shown.last_down_at,
    shown.first_scheduled_at, shown.newest_at, shown.interval_ms, shown.covered_ms_24h,
    case when shown.verdict in ('up', 'degraded', 'down') then shown.verdict_since end as verdict_since
from (
    select judged.*,
        case judged.state when 'down' then 0 when 'up' then 2 else 1 end as rank,
        case
            when judged.checked_at is null then 'unknown'
            when bool_and(judged.state = 'unmonitored') over of_site then 'unmonitored'
            -- What the newest checks could not tell, older ones do not.
            when bool_and(judged.state = 'unmonitored' or judged.up is null) over of_site then 'unknown'
            else coalesce(max(judged.site_verdict) over of_site, 'up')
        end as verdict
    from (
        select websites.id as website_id, state.location_id, websites.name as site, websites.url,
            websites.labels::text as labels, locations.name as location, state.up,
            case
                when state.checked_at < now() - greatest(
                    make_interval(secs => $1),
                    make_interval(secs => 3 * coalesce(websites.check_interval, 0))
                ) then 'unmonitored'
                when state.up is null then 'unknown'
                -- Nothing but work that was announced: it goes well.
                when verdicts.website_id is null or verdicts.location_up then 'up'
                when not verdicts.location_up then 'down'
                else 'unknown'
            end as state,
            verdicts.location_since as since, verdicts.verdict as site_verdict, verdicts.verdict_since,
            state.checked_at, outcomes.word, newest.status,
            newest.dns_us, newest.connect_us, newest.tls_us, newest.first_byte_us, newest.body_us, newest.total_us,
            state.certificate_not_after, state.certificate_issuer,
            stored.chain_not_after, stored.chain_subject, stored.chain_host, newest.error,
            incident.error as last_error, incident.last_down_at,
            stored.first_scheduled_at, stored.checked_at as newest_at, stored.interval_ms,
            coalesce(kept.covered_ms_24h, 0) + coalesce(differing.covered_ms, 0) as covered_ms_24h
        from websites
        left join current_states as state on state.website_id = websites.id
        left join website_states as stored
            on stored.website_id = state.website_id and stored.location_id = state.location_id
        left join verdicts on verdicts.website_id = state.website_id and verdicts.location_id = state.location_id
        left join locations on locations.id = state.location_id
        left join outcomes on outcomes.code = state.outcome
        left join lateral (
            select checks.*
            from checks
            where checks.website_id = state.website_id
                and checks.checked_at = state.checked_at
                and checks.location_id = state.location_id
            -- By its key, one after the other, whatever is expected of the tables.
            limit 1
        ) as newest on true
        left join (
            select distinct on (website_id, location_id) website_id, location_id, error, last_down_at
            from outages_hourly
            where hour >= now() - interval '31 days'
            order by website_id, location_id, started_at desc
        ) as incident on incident.website_id = state.website_id and incident.location_id = state.location_id
        left join trailing_hours as kept
            on kept.website_id = state.website_id and kept.location_id = state.location_id and $4
        left join (
            select website_id, location_id,
                sum(case when hour = any ($6) then -covered_ms else covered_ms end)::int8 as covered_ms
            from checks_hourly
            where hour = any ($5::timestamptz[] || $6::timestamptz[])
            group by website_id, location_id
        ) as differing on differing.website_id = state.website_id and differing.location_id = state.location_id
        where (websites.enabled or state.website_id is not null)
            and ($2::int4[] is null or websites.id = any ($2))
    ) as judged
    window of_site as (partition by judged.website_id)
) as shown
where $3::text[] is null or shown.verdict = any ($3)
