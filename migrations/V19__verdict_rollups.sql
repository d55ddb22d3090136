-- The tables of verdicts are kept as the other rollups are, and the time before there were verdicts is
-- judged as the defaults judge it: one failed check from one location is enough.

create or replace function create_rollup_partitions(first_day date, last_day date) returns integer
language plpgsql
security definer
set search_path from current
as $$
declare
    parent text;
    unit text;
    starts timestamp;
    partition_name text;
    made integer := 0;
begin
    if last_day - first_day > 3700 then
        raise exception 'days from % to % are more than ten years', first_day, last_day;
    end if;
    foreach parent in array array[
        'checks_hourly', 'response_times_hourly', 'outages_hourly', 'location_states_hourly', 'verdicts_hourly',
        'checks_daily', 'response_times_daily'
    ] loop
        unit := case when parent like '%\_daily' then 'year' else 'month' end;
        for starts in
            select generate_series(date_trunc(unit, first_day::timestamp), last_day::timestamp, ('1 ' || unit)::interval)
        loop
            partition_name := parent || '_' || to_char(starts, case unit when 'year' then 'YYYY' else 'YYYYMM' end);
            if to_regclass(quote_ident(partition_name)) is null then
                perform pg_advisory_xact_lock(hashtextextended('sitewatch.create_rollup_partitions', 0));
                -- Asked of the catalog itself: to_regclass remembers that there was none.
                if not exists (
                    select from pg_class
                    where relname = partition_name
                      and relnamespace = (select relnamespace from pg_class where oid = parent::regclass)
                ) then
                    -- Made alone and then attached, as in create_check_partitions.
                    execute format('create table %I (like %I including defaults including constraints)', partition_name, parent);
                    if unit = 'year' then
                        execute format('alter table %I attach partition %I for values from (%L) to (%L)',
                            parent, partition_name, starts::date, (starts + interval '1 year')::date);
                    else
                        execute format('alter table %I attach partition %I for values from (%L) to (%L)',
                            parent, partition_name, starts at time zone 'UTC', (starts + interval '1 month') at time zone 'UTC');
                    end if;
                    made := made + 1;
                end if;
            end if;
        end loop;
    end loop;
    return made;
end
$$;

create or replace function drop_rollup_partitions(keep_hourly_days integer, keep_daily_days integer) returns integer
language plpgsql
security definer
set search_path from current
as $$
declare
    today date := (select judge_clock.today from judge_clock());
    old record;
    dropped integer := 0;
begin
    if today is null or coalesce(keep_hourly_days, 0) < 1 or coalesce(keep_daily_days, 0) < 1 then
        raise exception 'no rollup is older than it is kept'
            using errcode = 'check_violation',
                detail = case when today is null then 'the clock is in doubt' else 'kept for less than a day' end;
    end if;
    for old in
        select parent.relname as parent_name, partition.relname as partition_name
        from pg_inherits
        join pg_class as parent on parent.oid = pg_inherits.inhparent
        join pg_class as partition on partition.oid = pg_inherits.inhrelid
        where (
            parent.oid in (
                'checks_hourly'::regclass, 'response_times_hourly'::regclass, 'outages_hourly'::regclass,
                'location_states_hourly'::regclass, 'verdicts_hourly'::regclass
            )
            and partition.relname ~ '_[0-9]{6}$'
            and to_date(right(partition.relname, 6), 'YYYYMM') + interval '1 month' <= today - keep_hourly_days
        ) or (
            parent.oid in ('checks_daily'::regclass, 'response_times_daily'::regclass)
            and partition.relname ~ '_[0-9]{4}$'
            and to_date(right(partition.relname, 4), 'YYYY') + interval '1 year' <= today - keep_daily_days
        )
        order by 1, 2
    loop
        execute format('alter table %I detach partition %I', old.parent_name, old.partition_name);
        execute format('drop table %I', old.partition_name);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;

create or replace function forget_names(keep_days integer, max_names integer)
returns table (websites integer, locations integer)
language plpgsql
security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    first_kept date := (select today from judge_clock()) - keep_days;
    kept_from timestamptz := first_kept::timestamp at time zone 'UTC';
    old_websites integer[];
    old_locations smallint[];
begin
    if first_kept is null or keep_days < 1 then
        raise exception 'no name is older than it is kept'
            using errcode = 'check_violation',
                detail = case when first_kept is null then 'the clock is in doubt' else 'kept for less than a day' end;
    end if;
    -- As long as there are checks from before, or hours to be counted, what is quiet may have some.
    if exists (select from check_partitions where day < first_kept)
        or exists (select from dirty_hours where hour < kept_from) then
        return query select 0, 0;
        return;
    end if;
    old_websites := array(
        select known.id from websites as known
        where origin = 'event' and created_at < kept_from
            and not exists (select from website_states where website_id = known.id and checked_at >= kept_from)
        order by known.id
        limit max_names
    );
    old_locations := array(
        select known.id from locations as known
        where exists (select from website_states where location_id = known.id)
            and not exists (select from website_states where location_id = known.id and checked_at >= kept_from)
        order by known.id
        limit max_names
    );
    if old_websites = '{}' and old_locations = '{}' then
        return query select 0, 0;
        return;
    end if;
    delete from checks_hourly where hour < kept_from
        and (website_id = any (old_websites) or location_id = any (old_locations));
    delete from response_times_hourly where hour < kept_from
        and (website_id = any (old_websites) or location_id = any (old_locations));
    delete from outages_hourly where hour < kept_from
        and (website_id = any (old_websites) or location_id = any (old_locations));
    delete from location_states_hourly where hour < kept_from
        and (website_id = any (old_websites) or location_id = any (old_locations));
    delete from verdicts_hourly where hour < kept_from and website_id = any (old_websites);
    delete from checks_daily where day < first_kept
        and (website_id = any (old_websites) or location_id = any (old_locations));
    delete from response_times_daily where day < first_kept
        and (website_id = any (old_websites) or location_id = any (old_locations));

    -- From here on nobody records, and what was recorded meanwhile is seen.
    perform pg_advisory_xact_lock(hashtextextended('sitewatch.names', 0));
    old_websites := array(
        select known.id from websites as known
        where known.id = any (old_websites) and origin = 'event'
            and not exists (select from website_states where website_id = known.id and checked_at >= kept_from)
            and not exists (select from checks where website_id = known.id)
    );
    old_locations := array(
        select known.id from locations as known
        where known.id = any (old_locations)
            and not exists (select from website_states where location_id = known.id and checked_at >= kept_from)
    );
    if exists (select from check_partitions where day < first_kept) then
        return query select 0, 0;
        return;
    end if;
    delete from website_states where website_id = any (old_websites) or location_id = any (old_locations);
    -- A statement that deletes nothing would still be noted.
    if old_websites <> '{}' then
        delete from websites as known where known.id = any (old_websites);
    end if;
    if old_locations <> '{}' then
        delete from locations as known where known.id = any (old_locations);
    end if;
    return query select cardinality(old_websites), cardinality(old_locations);
end
$$;

do $$
declare
    one text;
begin
    foreach one in array array[
        'create_rollup_partitions(date, date)', 'drop_rollup_partitions(integer, integer)', 'forget_names(integer, integer)'
    ] loop
        -- As in V9: pg_temp is searched last.
        execute format('alter function %s set search_path = %I, pg_temp', one, current_schema());
    end loop;
end
$$;

-- Incidents from before were of a location each.
create temporary table earlier_incidents on commit drop as
select * from find_incidents('-infinity');

select create_rollup_partitions(month, month)
from (
    select distinct (date_trunc('month', hour, 'UTC') at time zone 'UTC')::date as month from checks_hourly
    union
    select (date_trunc('month', at, 'UTC') at time zone 'UTC')::date from earlier_incidents, unnest(array[opened_at, closed_at]) as at
) as months
where month is not null;
select create_rollup_partitions(today, today + 7) from (select (now() at time zone 'UTC')::date as today) as clock;

create index on earlier_incidents (website_id, location_id, opened_at);
analyze earlier_incidents;

insert into location_states_hourly (
    hour, website_id, location_id, up, turned_at, failing_since, failing_outcome, failing_error, results
)
select
    ends.hour, ends.website_id, ends.location_id, ends.is_over,
    case when ends.is_over then ends.closed_at when ends.opened_at >= ends.hour then ends.opened_at end,
    case when not ends.is_over then ends.opened_at end,
    case when not ends.is_over then ends.outcome end,
    case when not ends.is_over then ends.error end,
    '{}'
from (
    select
        touched.hour, touched.website_id, touched.location_id, newest.opened_at, newest.closed_at, newest.outcome, newest.error,
        coalesce(newest.closed_at < touched.hour + interval '1 hour', false) as is_over
    from (
        select website_id, location_id, hour from outages_hourly
        union
        select website_id, location_id, date_trunc('hour', closed_at, 'UTC') from earlier_incidents where closed_at is not null
    ) as touched
    cross join lateral (
        select incident.*
        from earlier_incidents as incident
        where incident.website_id = touched.website_id and incident.location_id = touched.location_id
            and incident.opened_at < touched.hour + interval '1 hour'
        order by incident.opened_at desc
        limit 1
    ) as newest
) as ends;

create temporary table merged_incidents on commit drop as
select
    website_id, incident,
    min(opened_at) as opened_at,
    max(coalesce(closed_at, 'infinity')) as closed_at,
    (array_agg(outcome order by opened_at))[1] as outcome,
    (array_agg(error order by opened_at))[1] as error
from (
    select
        ordered.*,
        count(*) filter (where opened_at > before_end or before_end is null) over (
            partition by website_id order by opened_at, location_id rows unbounded preceding
        ) as incident
    from (
        select
            earlier_incidents.*,
            max(coalesce(closed_at, 'infinity')) over (
                partition by website_id order by opened_at, location_id
                rows between unbounded preceding and 1 preceding
            ) as before_end
        from earlier_incidents
    ) as ordered
) as numbered
group by website_id, incident;

insert into verdicts_hourly (
    hour, website_id, started_at, verdict, turned, failures, first_failed_at, last_failed_at, outcome, error, locations
)
select
    piece.hour, piece.website_id, min(piece.started_at), 'down', bool_or(merged.opened_at = piece.started_at),
    sum(piece.checks), min(merged.opened_at), max(piece.last_down_at), min(merged.outcome), min(merged.error),
    array_agg(distinct piece.location_id order by piece.location_id)
from merged_incidents as merged
join outages_hourly as piece on piece.website_id = merged.website_id
    and piece.started_at >= merged.opened_at and piece.started_at < merged.closed_at
group by piece.website_id, piece.hour, merged.incident
union all
select
    date_trunc('hour', merged.closed_at, 'UTC'), merged.website_id, merged.closed_at, 'up', true,
    0, null, null, null, null, '{}'
from merged_incidents as merged
where merged.closed_at < 'infinity';

insert into location_states (website_id, location_id, hour, up, failing_since, since)
select distinct on (state.website_id, state.location_id)
    state.website_id, state.location_id, state.hour, state.up, state.failing_since,
    max(state.turned_at) over (partition by state.website_id, state.location_id)
from location_states_hourly as state
join website_states as pair on pair.website_id = state.website_id and pair.location_id = state.location_id
order by state.website_id, state.location_id, state.hour desc;

insert into website_verdicts (website_id, hour, verdict, since)
select distinct on (verdict.website_id)
    verdict.website_id, verdict.hour, verdict.verdict,
    max(verdict.started_at) filter (where verdict.turned) over (partition by verdict.website_id)
from verdicts_hourly as verdict
order by verdict.website_id, verdict.hour desc, verdict.started_at desc;

-- Whoever reads or writes the rollups, reads or writes these.
do $$
declare
    granted record;
begin
    for granted in
        select distinct acl.grantee::regrole as role, acl.privilege_type = 'SELECT' as reads
        from pg_class
        cross join lateral aclexplode(relacl) as acl
        where pg_class.oid = 'outages_hourly'::regclass
            and acl.privilege_type in ('SELECT', 'INSERT')
            and acl.grantee not in (0, relowner)
    loop
        if granted.reads then
            execute format(
                'grant select on location_states_hourly, location_states, verdicts_hourly, website_verdicts, website_states, retention to %s',
                granted.role
            );
            execute format(
                'grant select (id, check_interval, confirm_failures, confirm_checks, recover_checks, agree) on websites to %s',
                granted.role
            );
        else
            execute format('grant insert, delete on location_states_hourly, verdicts_hourly, website_verdicts, dirty_verdicts to %s', granted.role);
            execute format('grant select, insert, update on location_states, website_verdicts, dirty_verdicts to %s', granted.role);
        end if;
    end loop;
end
$$;
