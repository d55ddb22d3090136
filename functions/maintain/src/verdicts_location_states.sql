-- $1 the sites.
insert into location_states (website_id, location_id, hour, up, failing_since, since)
select pair.website_id, pair.location_id, newest.hour, newest.up, newest.failing_since, turned.at
from website_states as pair
cross join lateral (
    select state.hour, state.up, state.failing_since
    from location_states_hourly as state
    where state.website_id = pair.website_id and state.location_id = pair.location_id
    order by state.hour desc
    limit 1
) as newest
left join lateral (
    select state.turned_at as at
    from location_states_hourly as state
    where state.website_id = pair.website_id and state.location_id = pair.location_id
        and state.turned_at is not null
    order by state.hour desc
    limit 1
) as turned on true
where pair.website_id = any ($1)
on conflict (website_id, location_id) do update set
    hour = excluded.hour,
    up = excluded.up,
    failing_since = excluded.failing_since,
    -- The rows that told it may be too old to be there.
    since = coalesce(
        excluded.since,
        case when location_states.up is not distinct from excluded.up then location_states.since end
    )
