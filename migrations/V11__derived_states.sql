-- States are derived, not accumulated. `since` was moved along by `drain` from batch to batch, and a
-- check that came late did not mend it. What is stored now is the least or the greatest of times,
-- whatever the order of arrival; since when a site is up or down is read from those and from the
-- checks, by the same rule as incidents. And what is ahead of now is not believed by anything that
-- reads: it would stand until its time has come.

create function clock_skew() returns interval
language sql immutable parallel safe
as $$
    select interval '5 minutes'
$$;

comment on function clock_skew() is 'How far ahead of now a check may be: clocks differ. drain makes a dead letter of what is farther ahead; what an earlier release recorded so is left out until its time has come.';

alter table website_states
    add column first_known_at timestamptz,
    add column last_up_at timestamptz,
    add column last_down_at timestamptz;

comment on column website_states.first_known_at is 'The first check of all that found the site up or down and counts (not in maintenance); null: none yet.';
comment on column website_states.last_up_at is 'The last one that found it up; null: none yet.';
comment on column website_states.last_down_at is 'The last one that found it down; null: none yet.';

-- From what there is of each site. One that has been down for long is read back to when it was up,
-- check by check.
update website_states as state
set first_known_at = least(state.since, (
        select checked_at
        from checks
        where website_id = state.website_id and location_id = state.location_id
            and up is not null and not maintenance
        order by checked_at
        limit 1
    )),
    last_up_at = coalesce(
        (
            select checked_at
            from checks
            where website_id = state.website_id and location_id = state.location_id
                and up and not maintenance
            order by checked_at desc
            limit 1
        ),
        -- Single checks of that time are gone.
        case when not state.up then state.since - interval '1 microsecond' end
    );

update website_states as state
set last_down_at = piece.last_down_at
from (
    select website_id, location_id, max(last_down_at) as last_down_at
    from (
        select website_id, location_id, last_down_at from outages_hourly
        union all
        select website_id, location_id, last_down_at
        from find_outages(array(select distinct hour from dirty_hours))
    ) as pieces
    group by website_id, location_id
) as piece
where piece.website_id = state.website_id and piece.location_id = state.location_id;

alter table website_states
    drop column since,
    add constraint no_check_is_newer_than_the_newest
        check (greatest(first_known_at, last_up_at, last_down_at) <= checked_at);

comment on table website_states is 'The newest check of each site from each place, and between which checks it turned up or down. Read it as current_states.';

-- As V6 has it, without what is ahead.
create or replace function find_outages(hours timestamptz[])
returns table (
    hour timestamptz,
    started_at timestamptz,
    last_down_at timestamptz,
    ended_at timestamptz,
    website_id integer,
    checks integer,
    location_id smallint,
    outcome smallint,
    follows_up boolean,
    error text
)
language sql stable
as $$
    with wanted as (
        select min(one) as from_time, least(max(one) + interval '1 hour', now() + clock_skew()) as to_time
        from unnest(hours) as one
    ),
    -- Few sites are down in an hour: the others' checks are not put in order.
    affected as materialized (
        select distinct date_trunc('hour', checks.checked_at, 'UTC') as hour, checks.website_id, checks.location_id
        from checks
        where checks.checked_at >= (select from_time from wanted)
            and checks.checked_at < (select to_time from wanted)
            and not checks.up
            and not checks.maintenance
    ),
    known as (
        select
            affected.hour, one.website_id, one.location_id, one.checked_at, one.up, one.outcome, one.error,
            one.up is distinct from lag(one.up) over of_site as changed
        from affected
        join checks as one on one.website_id = affected.website_id
            and one.location_id = affected.location_id
            and one.checked_at >= affected.hour
            and one.checked_at < affected.hour + interval '1 hour'
            and one.checked_at >= (select from_time from wanted)
            and one.checked_at < (select to_time from wanted)
        where affected.hour = any (hours)
            and one.up is not null
            and not one.maintenance
        window of_site as (
            partition by affected.hour, one.website_id, one.location_id order by one.checked_at
        )
    ),
    -- Unbroken rows have a number each, which grows where `up` changes.
    numbered as (
        select known.*, count(*) filter (where changed) over of_site as run
        from known
        window of_site as (
            partition by known.hour, known.website_id, known.location_id order by known.checked_at
        )
    ),
    runs as (
        select
            numbered.hour, numbered.website_id, numbered.location_id, run, numbered.up,
            min(checked_at) as first_at,
            max(checked_at) as last_at,
            count(*)::integer as checks,
            (array_agg(numbered.outcome order by checked_at))[1] as outcome,
            (array_agg(numbered.error order by checked_at))[1] as error
        from numbered
        group by numbered.hour, numbered.website_id, numbered.location_id, run, numbered.up
    ),
    neighbours as (
        select
            runs.*,
            lead(first_at) over (partition by runs.hour, runs.website_id, runs.location_id order by run) as next_at
        from runs
    )
    select
        neighbours.hour, first_at, last_at, next_at, neighbours.website_id, neighbours.checks,
        neighbours.location_id, neighbours.outcome, run > 1, neighbours.error
    from neighbours
    where not up
$$;

create or replace function fresh_hours() returns timestamptz[]
language sql stable
as $$
    select coalesce(array_agg(distinct hour), '{}')
    from dirty_hours
    where hour >= date_trunc('hour', now(), 'UTC') - interval '25 hours'
        and hour <= now() + clock_skew()
$$;

create function newest_check_until(until_time timestamptz, of_website integer, of_location smallint)
returns table (
    checked_at timestamptz,
    outcome smallint,
    up boolean,
    last_up_at timestamptz,
    last_down_at timestamptz
)
-- Not in SQL, which would be planned with every query of the view, for what hardly ever is.
language plpgsql stable
as $$
#variable_conflict use_column
begin
    return query
    select
        newest.checked_at,
        newest.outcome,
        newest.up,
        (
            select max(one.checked_at) from checks as one
            where one.website_id = of_website and one.location_id = of_location
                and one.checked_at <= until_time and one.up and not one.maintenance
        ),
        (
            select max(one.checked_at) from checks as one
            where one.website_id = of_website and one.location_id = of_location
                and one.checked_at <= until_time and not one.up and not one.maintenance
        )
    from checks as newest
    where newest.website_id = of_website and newest.location_id = of_location
        and newest.checked_at <= until_time
    order by newest.checked_at desc
    limit 1;
end
$$;

comment on function newest_check_until(timestamptz, integer, smallint) is 'What website_states would have of a site and place without the checks after a time; no row without a check before.';

create function since_by_rollups(of_website integer, of_location smallint, is_up boolean, turned_at timestamptz)
returns timestamptz
language sql stable
as $$
    select coalesce(
        case
            when is_up then (
                select coalesce(
                    piece.ended_at,
                    first_known_check(
                        of_website, of_location, piece.hour + interval '1 hour', piece.hour + interval '25 hours', '{}'
                    )
                )
                from outages_hourly as piece
                where piece.website_id = of_website and piece.location_id = of_location
                    and piece.hour = date_trunc('hour', turned_at, 'UTC') and piece.last_down_at = turned_at
            )
            else (
                select piece.started_at
                from outages_hourly as piece
                where piece.website_id = of_website and piece.location_id = of_location
                    and piece.hour >= date_trunc('hour', turned_at, 'UTC') and piece.started_at > turned_at
                order by piece.hour, piece.started_at
                limit 1
            )
        end,
        turned_at
    )
$$;

comment on function since_by_rollups(integer, smallint, boolean, timestamptz) is 'Since when a site is up or down that was last found otherwise at a time whose single checks are gone: from what incidents are made of, and where that is gone as well, that time itself.';

-- What is worked out here is fenced by `offset 0`: copied into each other, these expressions would
-- have every partition of checks planned a dozen times.
create view current_states as
select
    stored.website_id,
    stored.location_id,
    newest.checked_at,
    case
        when judged.up is null then null
        when turned.at is null then stored.first_known_at
        -- The first check after the last one that found it otherwise.
        when turned.at >= (select checks_from::timestamp at time zone 'UTC' from retention) then (
            select checks.checked_at
            from checks
            where checks.website_id = stored.website_id and checks.location_id = stored.location_id
                and checks.checked_at > turned.at and checks.checked_at <= newest.checked_at
                and checks.up = judged.up and not checks.maintenance
            order by checks.checked_at
            limit 1
        )
        else since_by_rollups(stored.website_id, stored.location_id, judged.up, turned.at)
    end as since,
    stored.certificate_not_after,
    newest.outcome,
    judged.up,
    stored.certificate_issuer,
    stored.certificate_error,
    stored.tls_version,
    stored.final_url
from website_states as stored
cross join lateral (
    select stored.checked_at, stored.outcome, stored.up, stored.last_up_at, stored.last_down_at
    where stored.checked_at <= now() + clock_skew()
    union all
    select earlier.*
    from newest_check_until(now() + clock_skew(), stored.website_id, stored.location_id) as earlier
    where stored.checked_at > now() + clock_skew()
    offset 0
) as newest
-- Work that was announced is no outage: a failure in it is unknown.
cross join lateral (
    select
        case
            when not newest.up and (
                select checks.maintenance
                from checks
                where checks.website_id = stored.website_id
                    and checks.checked_at = newest.checked_at
                    and checks.location_id = stored.location_id
            ) then null
            else newest.up
        end as up
    offset 0
) as judged
cross join lateral (
    select case when judged.up then newest.last_down_at else newest.last_up_at end as at
    offset 0
) as turned;

comment on view current_states is 'What is so now, per site and place: the newest check that is not ahead of now by more than clock_skew().';
comment on column current_states.website_id is 'The site.';
comment on column current_states.location_id is 'Where the probe ran.';
comment on column current_states.checked_at is 'When the newest check began; with site and place the key of its row in checks.';
comment on column current_states.since is 'Since when it is up or down: the first check that counts after the last one that found it otherwise, as in incidents; null: unknown.';
comment on column current_states.certificate_not_after is 'When the certificate seen last expires; null: never seen one.';
comment on column current_states.outcome is 'How the newest check ended.';
comment on column current_states.up is 'true: up; false: down; null: the newest check could not be made, or failed in maintenance.';
comment on column current_states.certificate_issuer is 'Who issued the certificate seen last; null: never seen one.';
comment on column current_states.certificate_error is 'Why it is not to be trusted; null when it is, or when none was ever seen.';
comment on column current_states.tls_version is 'The version of TLS spoken last; null: none yet.';
comment on column current_states.final_url is 'Where redirects led in the newest check; null when there were none.';

-- Whoever reads reports, reads this.
do $$
declare
    granted record;
begin
    for granted in
        select distinct acl.grantee::regrole as role
        from pg_class
        cross join lateral aclexplode(relacl) as acl
        where pg_class.oid = 'website_states'::regclass
            and acl.privilege_type = 'SELECT'
            and acl.grantee not in (0, relowner)
    loop
        execute format('grant select on current_states to %s', granted.role);
    end loop;
end
$$;
