-- When a site was down and why. An outage that reaches over the end of an hour is kept in pieces,
-- one an hour, each derived from its own hour's checks and nothing else: an hour that is rolled up
-- again because a check came late replaces its own pieces, and the others stay true. Reading puts
-- the pieces together.

create table outages_hourly (
    hour timestamptz not null,
    started_at timestamptz not null,
    last_down_at timestamptz not null,
    ended_at timestamptz,
    website_id integer not null,
    checks integer not null,
    location_id smallint not null,
    outcome smallint not null,
    follows_up boolean not null,
    error text,

    primary key (hour, website_id, location_id, started_at),
    constraint hour_is_a_whole_hour check (extract(epoch from hour)::bigint % 3600 = 0),
    constraint an_outage_begins_with_a_check check (hour <= started_at and started_at <= last_down_at),
    constraint an_outage_ends_after_its_last_check check (ended_at > last_down_at)
) partition by range (hour);

create index outages_hourly_website_id_index on outages_hourly (website_id, location_id, hour);

comment on table outages_hourly is 'Unbroken rows of checks that found a site down from a place, cut at the hours; partitioned by month. Checks that could not be made, and those in maintenance, neither break nor make one.';
comment on column outages_hourly.hour is 'When the hour begins.';
comment on column outages_hourly.started_at is 'The first check of the row in this hour.';
comment on column outages_hourly.last_down_at is 'The last one.';
comment on column outages_hourly.ended_at is 'The next check of the same hour that found the site up; null: none in this hour.';
comment on column outages_hourly.website_id is 'The site: websites.id.';
comment on column outages_hourly.checks is 'Checks in the row.';
comment on column outages_hourly.location_id is 'Where the probe ran: locations.id.';
comment on column outages_hourly.outcome is 'How the first of them ended: outcomes.code.';
comment on column outages_hourly.follows_up is 'Whether a check of the same hour found the site up before: the outage began here.';
comment on column outages_hourly.error is 'What the first of them found, for people; null: nothing was said.';

create function find_outages(hours timestamptz[])
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
        select min(one) as from_time, max(one) + interval '1 hour' as to_time
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

comment on function find_outages(timestamptz[]) is 'The rows of outages_hourly for these hours, from checks.';

create function fresh_hours() returns timestamptz[]
language sql stable
as $$
    select coalesce(array_agg(distinct hour), '{}')
    from dirty_hours
    where hour >= date_trunc('hour', now(), 'UTC') - interval '25 hours'
$$;

comment on function fresh_hours() is 'Hours of about the last day that reports read from checks, because the rollups lack something of them. Older ones wait for maintain: a report''s time must not grow with the history.';

-- A step at a time, because the answer is nearly always in the very next hour.
create function first_known_check(
    of_website integer,
    of_location smallint,
    from_hour timestamptz,
    to_hour timestamptz,
    fresh timestamptz[]
)
returns timestamptz
language plpgsql stable
as $$
declare
    look timestamptz := from_hour;
    found_at timestamptz;
begin
    while look < to_hour loop
        if look = any (fresh) then
            select min(checked_at) into found_at
            from checks
            where website_id = of_website and location_id = of_location
                and checked_at >= look and checked_at < look + interval '1 hour'
                and up is not null and not maintenance;
        else
            select first_known_at into found_at
            from checks_hourly
            where hour = look and website_id = of_website and location_id = of_location;
        end if;
        if found_at is not null then
            return found_at;
        end if;
        look := look + interval '1 hour';
    end loop;
    return null;
end
$$;

comment on function first_known_check(integer, smallint, timestamptz, timestamptz, timestamptz[]) is 'The first check in these hours that found the site up or down and counts; null: none.';

create function find_incidents(from_time timestamptz)
returns table (
    website_id integer,
    location_id smallint,
    opened_at timestamptz,
    closed_at timestamptz,
    last_down_at timestamptz,
    checks bigint,
    outcome smallint,
    error text
)
language sql stable
as $$
    with fresh as materialized (
        select fresh_hours() as hours
    ),
    inside as materialized (
        select
            piece.hour, piece.started_at, piece.last_down_at, piece.ended_at, piece.website_id, piece.checks,
            piece.location_id, piece.outcome, piece.follows_up, piece.error
        from outages_hourly as piece
        where piece.hour >= date_trunc('hour', from_time, 'UTC')
            and not (piece.hour = any ((select hours from fresh)::timestamptz[]))
        union all
        select * from find_outages((select hours from fresh))
    ),
    -- What was down already at the time asked for, began earlier.
    firsts as (
        select distinct on (inside.website_id, inside.location_id)
            inside.website_id, inside.location_id, inside.follows_up
        from inside
        order by inside.website_id, inside.location_id, inside.started_at
    ),
    pieces as (
        select * from inside
        union all
        select
            earlier.hour, earlier.started_at, earlier.last_down_at, earlier.ended_at, earlier.website_id, earlier.checks,
            earlier.location_id, earlier.outcome, earlier.follows_up, earlier.error
        from outages_hourly as earlier
        where earlier.hour < date_trunc('hour', from_time, 'UTC')
            and not (earlier.hour = any ((select hours from fresh)::timestamptz[]))
            and (earlier.website_id, earlier.location_id) in (
                select firsts.website_id, firsts.location_id from firsts where not firsts.follows_up
            )
    ),
    neighbours as (
        select
            pieces.*,
            lead(pieces.hour) over of_site as next_hour,
            lead(pieces.follows_up) over of_site as next_follows_up
        from pieces
        window of_site as (partition by pieces.website_id, pieces.location_id order by pieces.started_at)
    ),
    -- The check that ended each piece, if one did: in its own hour, or in the first later hour
    -- that knows anything, unless that hour begins with the next piece.
    ends as (
        select
            neighbours.*,
            case
                when ended_at is not null then ended_at
                when next_hour = hour + interval '1 hour' and not next_follows_up then null
                else first_known_check(
                    neighbours.website_id,
                    neighbours.location_id,
                    neighbours.hour + interval '1 hour',
                    least(
                        case when next_follows_up then next_hour + interval '1 hour' else next_hour end,
                        now()
                    ),
                    (select hours from fresh)
                )
            end as closing
        from neighbours
    ),
    numbered as (
        select
            ends.*,
            count(closing) over (
                partition by ends.website_id, ends.location_id order by ends.started_at
                rows between unbounded preceding and 1 preceding
            ) as incident
        from ends
    )
    select
        numbered.website_id,
        numbered.location_id,
        min(started_at),
        max(closing),
        max(numbered.last_down_at),
        sum(numbered.checks)::bigint,
        (array_agg(numbered.outcome order by started_at))[1],
        (array_agg(numbered.error order by started_at))[1]
    from numbered
    group by numbered.website_id, numbered.location_id, incident
    having max(closing) is null or max(closing) >= from_time
$$;

comment on function find_incidents(timestamptz) is 'Outages that were going on at this time or later, whole: from the first check that found the site down to the first that found it up again (null: not yet), with how the first one ended and what it found.';
