-- $1 the hour.
select coalesce(array_agg(distinct affected.website_id), '{}')
from (
    select counted.website_id
    from checks_hourly as counted
    where counted.hour = $1 and counted.down > 0
    union all
    select unsettled.website_id
    from unsettled_sites($1) as unsettled (website_id)
    where exists (
        select from checks_hourly as counted
        where counted.hour = $1 and counted.website_id = unsettled.website_id and counted.up + counted.down > 0
    )
    union all
    -- Not up at once.
    select state.website_id
    from websites
    join website_states as state on state.website_id = websites.id
    where websites.recover_checks > 1
        and state.first_known_at >= $1 and state.first_known_at < $1 + interval '1 hour'
    union all
    -- What stands may have become wrong.
    select stored.website_id from verdicts_hourly as stored where stored.hour = $1
    union all
    select stored.website_id from location_states_hourly as stored where stored.hour = $1
) as affected
