-- What a report of all sites adds up anew each time, added up once by `maintain`: the rollups of the
-- 90 days before a day and of the 24 hours before an hour. A copy of what the rollups say, made from them
-- alone and replaced whole. Whoever changes a rollup in between says so in trailing_ends in the same
-- transaction, and until the copy is made again reports add up the rollups themselves. What is asked for
-- is mostly a little later than the copy: reports add and take away the days and hours by which the two
-- differ.

create table trailing_ends (
    only_row boolean primary key default true,
    day date,
    hour timestamptz,

    constraint there_is_one_row check (only_row),
    constraint hour_is_a_whole_hour check (extract(epoch from hour)::bigint % 3600 = 0)
);

insert into trailing_ends default values;

comment on table trailing_ends is 'Where the days of trailing_days and the hours of trailing_hours and trailing_response_times end. One row, written by maintain.';
comment on column trailing_ends.only_row is 'Always true.';
comment on column trailing_ends.day is 'The UTC day after the last one of trailing_days; null: a rollup has changed since, and nothing of it holds.';
comment on column trailing_ends.hour is 'The hour after the last one of trailing_hours and trailing_response_times; null: a rollup has changed since, and nothing of them holds.';

create table trailing_days (
    website_id integer not null,
    location_id smallint not null,
    up_7d bigint not null,
    up_30d bigint not null,
    up_90d bigint not null,
    down_7d bigint not null,
    down_30d bigint not null,
    down_90d bigint not null,
    covered_ms_7d bigint not null,
    covered_ms_30d bigint not null,
    covered_ms_90d bigint not null,
    days_ago integer[] not null,
    up integer[] not null,
    down integer[] not null,
    covered_ms bigint[] not null,

    primary key (website_id, location_id),
    constraint each_day_has_its_counts check (
        cardinality(up) = cardinality(days_ago) and cardinality(down) = cardinality(days_ago)
            and cardinality(covered_ms) = cardinality(days_ago)
    )
);

comment on table trailing_days is 'Of checks_daily, the 90 days before trailing_ends.day, added up per site and location.';
comment on column trailing_days.website_id is 'The site: websites.id.';
comment on column trailing_days.location_id is 'Where the probe ran: locations.id.';
comment on column trailing_days.up_7d is 'Checks that found the site as expected, in the last 7 of these days.';
comment on column trailing_days.up_30d is 'Likewise, in the last 30.';
comment on column trailing_days.up_90d is 'Likewise, in all 90.';
comment on column trailing_days.down_7d is 'Checks that did not, in the last 7.';
comment on column trailing_days.down_30d is 'Likewise, in the last 30.';
comment on column trailing_days.down_90d is 'Likewise, in all 90.';
comment on column trailing_days.covered_ms_7d is 'The time that its checks cover, in milliseconds, in the last 7; 0 where that is not known.';
comment on column trailing_days.covered_ms_30d is 'Likewise, in the last 30.';
comment on column trailing_days.covered_ms_90d is 'Likewise, in all 90.';
comment on column trailing_days.days_ago is 'The days that the site has, in no order: how many before trailing_ends.day each is.';
comment on column trailing_days.up is 'Of each of these days, in their order, what up_90d adds up.';
comment on column trailing_days.down is 'Likewise of down_90d.';
comment on column trailing_days.covered_ms is 'Likewise of covered_ms_90d.';

create table trailing_hours (
    website_id integer not null,
    location_id smallint not null,
    up_24h bigint not null,
    up_of_day bigint not null,
    down_24h bigint not null,
    down_of_day bigint not null,
    covered_ms_24h bigint not null,
    covered_ms_of_day bigint not null,
    duplicates_24h bigint not null,

    primary key (website_id, location_id)
);

comment on table trailing_hours is 'Of checks_hourly, the 24 hours before trailing_ends.hour, added up per site and location; and of these the hours of the UTC day that the last one is in.';
comment on column trailing_hours.website_id is 'The site: websites.id.';
comment on column trailing_hours.location_id is 'Where the probe ran: locations.id.';
comment on column trailing_hours.up_24h is 'Checks that found the site as expected.';
comment on column trailing_hours.up_of_day is 'Those of them on the last hour''s day.';
comment on column trailing_hours.down_24h is 'Checks that did not.';
comment on column trailing_hours.down_of_day is 'Those of them on the last hour''s day.';
comment on column trailing_hours.covered_ms_24h is 'The time that its checks cover, in milliseconds; 0 where that is not known.';
comment on column trailing_hours.covered_ms_of_day is 'That of the last hour''s day.';
comment on column trailing_hours.duplicates_24h is 'Checks for slots beyond the first of each.';

create table trailing_response_times (
    website_id integer not null,
    location_id smallint not null,
    total integer[] not null,

    primary key (website_id, location_id)
);

comment on table trailing_response_times is 'Of response_times_hourly, the 24 hours before trailing_ends.hour, added up per site and location.';
comment on column trailing_response_times.website_id is 'The site: websites.id.';
comment on column trailing_response_times.location_id is 'Where the probe ran: locations.id.';
comment on column trailing_response_times.total is 'A histogram of whole checks; see histogram_percentile.';

-- As V26 has them; what they take from the rollups is in no copy either.
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
    if dropped > 0 then
        update trailing_ends set day = null, hour = null;
    end if;
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
    update trailing_ends set day = null, hour = null;

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
        'drop_rollup_partitions(integer, integer)', 'forget_names(integer, integer)'
    ] loop
        -- As in V9: pg_temp is searched last.
        execute format('alter function %s set search_path = %I, pg_temp', one, current_schema());
    end loop;
end
$$;

-- Whoever reads or writes the rollups, reads or writes these.
do $$
declare
    granted record;
begin
    for granted in
        select distinct acl.grantee::regrole as role, acl.privilege_type = 'SELECT' as reads
        from pg_class
        cross join lateral aclexplode(relacl) as acl
        where pg_class.oid = 'response_times_hourly'::regclass
            and acl.privilege_type in ('SELECT', 'INSERT')
            and acl.grantee not in (0, relowner)
    loop
        execute format(
            'grant select%s on trailing_days, trailing_hours, trailing_response_times to %s',
            case when granted.reads then '' else ', insert, delete' end, granted.role
        );
        execute format(
            'grant select%s on trailing_ends to %s', case when granted.reads then '' else ', update' end, granted.role
        );
    end loop;
end
$$;
