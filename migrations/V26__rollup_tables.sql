-- Which rollups there are is said in one place: a further one replaces `rollups` and no other function.

create function rollups() returns table (name text, unit text, has_locations boolean)
language sql immutable parallel safe
as $$
    values
        ('checks_hourly', 'month', true),
        ('response_times_hourly', 'month', true),
        ('outages_hourly', 'month', true),
        ('location_states_hourly', 'month', true),
        ('verdicts_hourly', 'month', false),
        ('checks_daily', 'year', true),
        ('response_times_daily', 'year', true)
$$;

comment on function rollups() is 'The tables of rollups, what a partition of each holds (a month of hours, by the column hour, or a year of days, by the column day), and whether its rows are of a location each.';

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
    for parent, unit in select rollup.name, rollup.unit from rollups() as rollup loop
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
        join rollups() as rollup on rollup.name::regclass = parent.oid
        where (
            rollup.unit = 'month'
            and partition.relname ~ '_[0-9]{6}$'
            and to_date(right(partition.relname, 6), 'YYYYMM') + interval '1 month' <= today - keep_hourly_days
        ) or (
            rollup.unit = 'year'
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
    rollup record;
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
    for rollup in select * from rollups() loop
        execute format(
            'delete from %I where %s and (website_id = any ($3)%s)',
            rollup.name,
            case rollup.unit when 'month' then 'hour < $1' else 'day < $2' end,
            case when rollup.has_locations then ' or location_id = any ($4)' else '' end
        ) using kept_from, first_kept, old_websites, old_locations;
    end loop;

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
