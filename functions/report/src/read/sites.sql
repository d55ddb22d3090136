-- $1 how old the newest check may be, in seconds; $2 the websites or null; $3 the states or null.
-- A site appears once per location, and once without a location when it was never checked; what is
-- broken comes first, and of each site the location that sees it worst is marked. Errors of
-- incidents that are over come from the rollups: at most an hour late.
select shown.*,
    row_number() over (partition by shown.website_id order by shown.rank, shown.location) = 1 as is_worst
from (
    select judged.*,
        case when up then 2 when not up then 0 else 1 end as rank,
        case when up then 'up' when not up then 'down' else 'unknown' end as state
    from (
        select websites.id as website_id, state.location_id, websites.name as site, websites.url,
            websites.labels::text, locations.name as location,
            case
                when state.checked_at < now() - greatest(
                    make_interval(secs => $1),
                    make_interval(secs => 3 * coalesce(websites.check_interval, 0))
                ) then null
                else state.up
            end as up,
            state.since, state.checked_at, outcomes.word, newest.status,
            newest.dns_us, newest.connect_us, newest.tls_us, newest.first_byte_us, newest.body_us, newest.total_us,
            state.certificate_not_after, state.certificate_issuer, newest.error,
            incident.error as last_error, incident.last_down_at
        from websites
        left join current_states as state on state.website_id = websites.id
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
        where (websites.enabled or state.website_id is not null)
            and ($2::int4[] is null or websites.id = any ($2))
    ) as judged
) as shown
where $3::text[] is null or shown.state = any ($3)
order by shown.rank, shown.site, shown.location
