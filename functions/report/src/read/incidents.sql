-- $1 since when, $2 the websites or null, $3 the most lines, $4 whether those that go on are
-- wanted, $5 whether those that ended are, $6 how old a site's newest check may be, in seconds.
with incidents as materialized (
    select *
    from find_incidents($1)
    where ($2::int4[] is null or website_id = any ($2))
        and (($4 and closed_at is null) or ($5 and closed_at is not null))
    order by closed_at is not null, opened_at desc, website_id
    limit $3
)
select websites.name, seen.locations, incidents.opened_at, incidents.closed_at,
    incidents.first_failed_at, coalesce(incidents.last_failed_at, incidents.opened_at),
    outcomes.word, incidents.error, incidents.checks,
    coalesce(state.checked_at < now() - greatest(
        make_interval(secs => $6),
        make_interval(secs => 3 * coalesce(websites.check_interval, 0))
    ), true)
from incidents
join websites on websites.id = incidents.website_id
join outcomes on outcomes.code = incidents.outcome
cross join lateral (
    select string_agg(locations.name, ',' order by locations.name) as locations
    from locations
    where locations.id = any (incidents.locations)
) as seen
-- For those that go on; looked up one by one: how many incidents there will be cannot be foreseen, and a
-- plan for one would read all states for each of thousands.
left join lateral (
    select max(checked_at) as checked_at
    from current_states
    where current_states.website_id = incidents.website_id and incidents.closed_at is null
    offset 0
) as state on true
order by incidents.closed_at is not null, incidents.opened_at desc, incidents.website_id
