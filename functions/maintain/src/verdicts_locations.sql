-- $1 the sites, $2 the first hour, $3 the end of the last.
with evaluated as materialized (
    select * from evaluate_checks($1, $2, $3)
),
ends as (
    select
        website_id, location_id, date_trunc('hour', checked_at, 'UTC') as hour,
        max(position_in_pair) as position_in_pair,
        bool_or(not up) as failed,
        max(checked_at) filter (where turned) as turned_at
    from evaluated
    where is_check
    group by website_id, location_id, date_trunc('hour', checked_at, 'UTC')
),
changes as (
    select
        ends.*, one.location_up, one.failing_since, one.failing_outcome, one.failing_error,
        one.location_up is not true or one.failing_since is not null as unsettled
    from ends
    join evaluated as one using (website_id, location_id, position_in_pair)
),
followed as (
    select
        changes.*, websites.kept,
        coalesce(
            lag(unsettled) over (partition by website_id, location_id order by hour),
            carried.failing_since is not null or carried.location_up is false
                -- Not known before: up at once, or unsettled.
                or carried.location_up is null and websites.recover_checks > 1
        ) as was_unsettled
    from changes
    join evaluated as carried using (website_id, location_id)
    join (
        select id as website_id, recover_checks, greatest(confirm_checks, recover_checks) - 1 as kept from websites
    ) as websites using (website_id)
    where carried.position_in_pair = 0
),
results as (
    select
        website_id, location_id, hour,
        -- What was before the first failure makes no difference.
        array_agg(up order by position_in_pair) filter (where has_failed or not fails) as results
    from (
        select
            website_id, location_id, followed.hour, past.position_in_pair, past.up,
            bool_or(not past.up) over (of_end order by past.position_in_pair) as has_failed,
            bool_or(not past.up) over of_end as fails
        from followed
        join evaluated as past using (website_id, location_id)
        -- What is settled has only seen the site up.
        where followed.unsettled
            and past.position_in_pair
                between greatest(followed.position_in_pair - followed.kept + 1, 1) and followed.position_in_pair
        window of_end as (partition by website_id, location_id, followed.hour)
    ) as kept
    group by website_id, location_id, hour
)
insert into location_states_hourly (
    hour, website_id, location_id, up, turned_at, failing_since, failing_outcome, failing_error, results
)
select
    hour, website_id, location_id, location_up, turned_at, failing_since, failing_outcome, failing_error,
    coalesce(results, '{}')
from followed
left join results using (website_id, location_id, hour)
where failed or unsettled or was_unsettled
order by website_id, location_id, hour
