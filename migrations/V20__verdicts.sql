-- What is read of verdicts: stored rows for what is over, checks for the hours that those lack.

create function find_verdicts(sites integer[], from_hour timestamptz, to_time timestamptz)
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
    )
    select
        runs.hour, runs.started_at, seen.failing_since, runs.last_failed_at, runs.website_id, runs.failures,
        seen.outcome, runs.turned, runs.verdict, seen.error, coalesce(seen.locations, '{}')
    from runs
    left join seen on seen.website_id = runs.website_id and seen.run = runs.run
    -- That what is up stays so goes without saying.
    where runs.verdict <> 'up' or runs.turned
$$;

comment on function find_verdicts(integer[], timestamptz, timestamptz) is 'The rows of verdicts_hourly of these sites from an hour on, from checks.';

create function unsettled_sites(at_hour timestamptz) returns setof integer
language sql stable
as $$
    select state.website_id
    from location_states as state
    where state.hour < at_hour and (state.up is not true or state.failing_since is not null)
    union
    select pair.website_id
    from (
        select distinct later.website_id, later.location_id
        from location_states_hourly as later
        where later.hour >= at_hour
    ) as pair
    cross join lateral (
        select earlier.up, earlier.failing_since
        from location_states_hourly as earlier
        where earlier.website_id = pair.website_id and earlier.location_id = pair.location_id
            and earlier.hour < at_hour
        order by earlier.hour desc
        limit 1
    ) as before
    where before.up is not true or before.failing_since is not null
$$;

comment on function unsettled_sites(timestamptz) is 'Sites that the hours before this one left with a location that is not simply up.';

create function fresh_from() returns timestamptz
language sql stable
as $$
    select coalesce(min(hour), date_trunc('hour', now(), 'UTC') + interval '1 hour')
    from unnest(fresh_hours()) as hour
$$;

comment on function fresh_from() is 'From which hour on verdicts are read from checks: the first of the fresh hours, because each hour follows from the one before.';

create function fresh_sites(of_websites integer[]) returns integer[]
language sql stable
as $$
    -- Found once, and not for each row that is compared with it.
    with fresh as materialized (
        select fresh_from() as at_hour
    )
    select coalesce(array_agg(distinct affected.website_id), '{}')
    from (
        select unsettled.website_id
        from fresh
        cross join lateral unsettled_sites(fresh.at_hour) as unsettled (website_id)
        union all
        select state.website_id from website_states as state where state.last_down_at >= (select at_hour from fresh)
        union all
        -- Not up at once.
        select state.website_id
        from websites
        join website_states as state on state.website_id = websites.id
        where websites.recover_checks > 1 and state.first_known_at >= (select at_hour from fresh)
        union all
        select verdict.website_id from verdicts_hourly as verdict where verdict.hour >= (select at_hour from fresh)
    ) as affected
    where of_websites is null or affected.website_id = any (of_websites)
$$;

comment on function fresh_sites(integer[]) is 'Of these sites (null: of all) those whose verdict has to be read from checks since fresh_from().';

create function current_verdicts(of_websites integer[] default null)
returns table (
    website_id integer,
    location_id smallint,
    location_up boolean,
    location_since timestamptz,
    verdict text,
    verdict_since timestamptz
)
language sql stable
set enable_nestloop = off
set jit = off
as $$
    with fresh as materialized (
        select fresh_from() as at_hour, fresh_sites(of_websites) as sites
    ),
    evaluated as materialized (
        select one.*
        from fresh
        cross join lateral evaluate_checks(fresh.sites, fresh.at_hour, now() + clock_skew()) as one
        where one.is_check
    ),
    pairs as (
        select
            one.website_id, one.location_id,
            max(one.checked_at) filter (where one.turned) as turned_at,
            (array_agg(one.location_up order by one.checked_at desc))[1] as up
        from evaluated as one
        group by one.website_id, one.location_id
    ),
    sites as (
        select
            one.website_id,
            max(one.checked_at) filter (where one.verdict_turned) as turned_at,
            (array_agg(one.verdict order by one.checked_at desc))[1] as verdict
        from evaluated as one
        group by one.website_id
    ),
    known as (
        select state.website_id, state.location_id, state.first_known_at,
            min(state.first_known_at) over (partition by state.website_id) as site_known_at
        from website_states as state
        where (of_websites is null or state.website_id = any (of_websites))
            and state.first_known_at <= now() + clock_skew()
    )
    select
        known.website_id, known.location_id,
        case when pairs.website_id is not null then pairs.up when state.hour is not null then state.up else true end,
        coalesce(
            pairs.turned_at,
            case when state.hour is not null then
                case when state.hour < fresh.at_hour then state.since else (
                    select earlier.turned_at
                    from location_states_hourly as earlier
                    where earlier.website_id = known.website_id and earlier.location_id = known.location_id
                        and earlier.turned_at is not null and earlier.hour < fresh.at_hour
                    order by earlier.hour desc
                    limit 1
                ) end
            end,
            known.first_known_at
        ),
        coalesce(sites.verdict, site.verdict, 'up'),
        coalesce(
            sites.turned_at,
            case when site.hour is not null then
                case when site.hour < fresh.at_hour then site.since else (
                    select earlier.started_at
                    from verdicts_hourly as earlier
                    where earlier.website_id = known.website_id and earlier.turned and earlier.hour < fresh.at_hour
                    order by earlier.hour desc, earlier.started_at desc
                    limit 1
                ) end
            end,
            known.site_known_at
        )
    from known
    cross join fresh
    left join pairs on pairs.website_id = known.website_id and pairs.location_id = known.location_id
    left join sites on sites.website_id = known.website_id
    left join location_states as state on state.website_id = known.website_id and state.location_id = known.location_id
    left join website_verdicts as site on site.website_id = known.website_id
$$;

comment on function current_verdicts(integer[]) is 'What the known checks of these sites (null: of all) say: of each location whether it finds the site up (null: not confirmed yet) and since when, and the verdict on the site and since when. A row for each location with a known check; whether any of them still reports is not looked at.';

drop function find_incidents(timestamptz);

create function find_stretches(from_time timestamptz)
returns table (
    website_id integer,
    verdict text,
    opened_at timestamptz,
    closed_at timestamptz,
    first_failed_at timestamptz,
    last_failed_at timestamptz,
    checks bigint,
    outcome smallint,
    error text,
    locations smallint[]
)
language sql stable
set enable_nestloop = off
set jit = off
as $$
    with fresh as materialized (
        select fresh_from() as at_hour, fresh_sites(null) as sites
    ),
    inside as materialized (
        select stored.*
        from verdicts_hourly as stored
        where stored.hour >= date_trunc('hour', from_time, 'UTC')
            and stored.hour < (select at_hour from fresh)
        union all
        select found.*
        from fresh
        cross join lateral find_verdicts(fresh.sites, fresh.at_hour, now() + clock_skew()) as found
    ),
    -- What was down already at the time asked for, began earlier.
    firsts as (
        select distinct on (inside.website_id) inside.website_id, inside.turned
        from inside
        order by inside.website_id, inside.started_at
    ),
    stretches as (
        select * from inside
        union all
        select earlier.*
        from firsts
        cross join lateral (
            select max(opening.started_at) as at
            from verdicts_hourly as opening
            where opening.website_id = firsts.website_id and opening.turned
                and opening.hour < least(date_trunc('hour', from_time, 'UTC'), (select at_hour from fresh))
        ) as began
        join verdicts_hourly as earlier on earlier.website_id = firsts.website_id
            and earlier.hour < least(date_trunc('hour', from_time, 'UTC'), (select at_hour from fresh))
            and earlier.started_at >= coalesce(began.at, '-infinity')
        where not firsts.turned
    ),
    numbered as (
        select
            stretches.*,
            count(*) filter (where stretches.turned) over (
                partition by stretches.website_id order by stretches.started_at
            ) as incident
        from stretches
    ),
    whole as (
        select
            numbered.website_id, numbered.incident,
            min(numbered.verdict) as verdict,
            min(numbered.started_at) as opened_at,
            lead(min(numbered.started_at)) over (partition by numbered.website_id order by numbered.incident) as closed_at,
            min(numbered.first_failed_at) as first_failed_at,
            max(numbered.last_failed_at) as last_failed_at,
            sum(numbered.failures) as checks,
            (array_agg(numbered.outcome order by numbered.first_failed_at, numbered.started_at))[1] as outcome,
            (array_agg(numbered.error order by numbered.first_failed_at, numbered.started_at))[1] as error
        from numbered
        group by numbered.website_id, numbered.incident
    ),
    seen as (
        select numbered.website_id, numbered.incident, array_agg(distinct location_id order by location_id) as locations
        from numbered
        cross join lateral unnest(numbered.locations) as location_id
        group by numbered.website_id, numbered.incident
    )
    select
        whole.website_id, whole.verdict, whole.opened_at, whole.closed_at, whole.first_failed_at, whole.last_failed_at,
        whole.checks, whole.outcome, whole.error, seen.locations
    from whole
    join seen on seen.website_id = whole.website_id and seen.incident = whole.incident
    where whole.closed_at is null or whole.closed_at >= from_time
$$;

comment on function find_stretches(timestamptz) is 'Stretches of checks, at this time or later and whole, after which a site was down or degraded, as find_incidents has those that were down.';

create function find_incidents(from_time timestamptz)
returns table (
    website_id integer,
    opened_at timestamptz,
    closed_at timestamptz,
    first_failed_at timestamptz,
    last_failed_at timestamptz,
    checks bigint,
    outcome smallint,
    error text,
    locations smallint[]
)
language sql stable
as $$
    select
        website_id, opened_at, closed_at, first_failed_at, last_failed_at, checks, outcome, error, locations
    from find_stretches(from_time)
    where verdict = 'down'
$$;

comment on function find_incidents(timestamptz) is 'When sites were down, at this time or later, whole: from the first check with the verdict down to the first with another one (null: not yet), with the first and the last failed check, how many failed meanwhile, how the first one ended and what it found, and the locations that saw it.';
