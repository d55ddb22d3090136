-- $1 how old a site's newest check may be, in seconds; $2 the websites that were told to be silent.
select website_id, checked_at, is_silent
from (
    select state.website_id, max(state.checked_at) as checked_at,
        max(state.checked_at) < now() - greatest(
            make_interval(secs => $1),
            make_interval(secs => 3 * coalesce(max(websites.check_interval), 0))
        ) and bool_and(websites.enabled or websites.origin = 'event') as is_silent
    from website_states as state
    join websites on websites.id = state.website_id
    where state.checked_at <= now() + clock_skew()
    group by state.website_id
) as newest
where is_silent or website_id = any ($2)
order by website_id
