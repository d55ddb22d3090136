-- An hour's verdicts and what its locations leave to the next hour are derived in one go: both follow
-- from the same evaluation of the checks, which takes longer than all the rest.

create function derive_verdicts(sites integer[], from_hour timestamptz, to_time timestamptz)
returns table (verdict verdicts_hourly, location_state location_states_hourly)
language sql stable
set enable_nestloop = off
set jit = off
as $$
    with evaluated as materialized (
        select * from evaluate_checks(sites, from_hour, to_time)
    ),
    cut as (
        select
            checks.*,
            date_trunc('hour', checks.checked_at, 'UTC') as hour,
            checks.verdict_turned
                or date_trunc('hour', checks.checked_at, 'UTC')
                    is distinct from date_trunc('hour', lag(checks.checked_at) over of_site, 'UTC') as begins
        from evaluated as checks
        where checks.is_check
        window of_site as (partition by checks.website_id order by checks.checked_at, checks.location_id)
    ),
    numbered as (
        select
            cut.*,
            count(*) filter (where begins) over (
                partition by cut.website_id order by cut.checked_at, cut.location_id rows unbounded preceding
            ) as run
        from cut
    ),
    runs as materialized (
        select
            numbered.website_id, numbered.run,
            min(numbered.hour) as hour,
            min(numbered.checked_at) as started_at,
            max(numbered.checked_at) as last_at,
            max(numbered.checked_at) filter (where not numbered.up) as last_failed_at,
            (count(*) filter (where not numbered.up))::integer as failures,
            bool_or(numbered.verdict_turned) as turned,
            min(numbered.verdict) as verdict
        from numbered
        group by numbered.website_id, numbered.run
    ),
    -- Whoever was down at one of the stretch's checks, whether or not that check was its own.
    seen as (
        select
            runs.website_id, runs.run,
            array_agg(distinct downs.location_id order by downs.location_id) as locations,
            min(downs.failing_since) as failing_since,
            (array_agg(downs.failing_outcome order by downs.failing_since, downs.location_id))[1] as outcome,
            (array_agg(downs.failing_error order by downs.failing_since, downs.location_id))[1] as error
        from runs
        join evaluated as downs on downs.website_id = runs.website_id
            and downs.location_up is false
            and downs.checked_at <= runs.last_at
            and downs.valid_until >= runs.started_at
        where runs.verdict in ('degraded', 'down')
        group by runs.website_id, runs.run
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
    select
        row(
            runs.hour, runs.started_at, seen.failing_since, runs.last_failed_at, runs.website_id, runs.failures,
            seen.outcome, runs.turned, runs.verdict, seen.error, coalesce(seen.locations, '{}')
        )::verdicts_hourly,
        null::location_states_hourly
    from runs
    left join seen on seen.website_id = runs.website_id and seen.run = runs.run
    -- That what is up stays so goes without saying.
    where runs.verdict <> 'up' or runs.turned
    union all
    select
        null,
        row(
            followed.hour, followed.turned_at, followed.failing_since, followed.website_id, followed.location_id,
            followed.failing_outcome, followed.location_up, coalesce(results.results, '{}'), followed.failing_error
        )::location_states_hourly
    from followed
    left join results on results.website_id = followed.website_id and results.location_id = followed.location_id
        and results.hour = followed.hour
    where followed.failed or followed.unsettled or followed.was_unsettled
$$;

comment on function derive_verdicts(integer[], timestamptz, timestamptz) is 'The rows of verdicts_hourly and of location_states_hourly of these sites from an hour on, from checks: each row has one of the two.';

create or replace function find_verdicts(sites integer[], from_hour timestamptz, to_time timestamptz)
returns table (
    hour timestamptz,
    started_at timestamptz,
    first_failed_at timestamptz,
    last_failed_at timestamptz,
    website_id integer,
    failures integer,
    outcome smallint,
    turned boolean,
    verdict text,
    error text,
    locations smallint[]
)
language sql stable
as $$
    select (derived.verdict).*
    from derive_verdicts(sites, from_hour, to_time) as derived
    where (derived.verdict).hour is not null
$$;

-- maintain finds them by what it has counted.
drop function find_outages(timestamptz[]);
