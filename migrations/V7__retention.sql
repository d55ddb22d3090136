-- How history goes: a whole partition at a time, so that its cost does not depend on its size.
-- Used by `maintain`.

create table retention (
    only_row boolean primary key default true,
    checks_from date not null default '-infinity',

    constraint there_is_one_row check (only_row)
);

insert into retention default values;

comment on table retention is 'Where the history of single checks begins. One row, written by maintain.';
comment on column retention.only_row is 'Always true.';
comment on column retention.checks_from is 'UTC days before this were dropped from checks. Their rollups are final: a check that comes that late must not replace an hour by itself alone.';

create view check_partitions as
select
    partition.relname::text as name,
    to_date(right(partition.relname, 8), 'YYYYMMDD') as day
from pg_inherits
join pg_class as partition on partition.oid = pg_inherits.inhrelid
where pg_inherits.inhparent = 'checks'::regclass and partition.relname ~ '^checks_[0-9]{8}$';

comment on view check_partitions is 'The days that checks has a partition for.';
comment on column check_partitions.name is 'The partition.';
comment on column check_partitions.day is 'Its UTC day.';

-- `security definer`: maintain drops what it may without owning the tables.
create function drop_check_partition(of_day date) returns boolean
language plpgsql
security definer
set search_path from current
as $$
declare
    partition_name text;
begin
    -- The lock that dropping takes anyway, taken first: a drain that is recording holds it for a
    -- moment, and the caller's lock_timeout sees to it that others do not queue behind us for long.
    lock table only checks in access exclusive mode;
    select name into partition_name from check_partitions where day = of_day;
    if partition_name is null then
        return true;
    end if;
    -- Nobody can add to the day any more. What came since it was rolled up is rolled up first.
    if of_day >= (select checks_from from retention) and exists (
        select from dirty_hours
        where hour >= of_day::timestamp at time zone 'UTC' and hour < (of_day + 1)::timestamp at time zone 'UTC'
    ) then
        return false;
    end if;
    execute format('alter table checks detach partition %I', partition_name);
    execute format('drop table %I', partition_name);
    update retention set checks_from = of_day + 1 where checks_from < of_day + 1;
    return true;
end
$$;

comment on function drop_check_partition(date) is 'Drops a UTC day of checks; false when the rollups lack something of it. Days have to go oldest first.';
revoke all on function drop_check_partition(date) from public;

create function drop_rollup_partitions(hourly_before date, daily_before date) returns integer
language plpgsql
security definer
set search_path from current
as $$
declare
    old record;
    dropped integer := 0;
begin
    for old in
        select parent.relname as parent_name, partition.relname as partition_name
        from pg_inherits
        join pg_class as parent on parent.oid = pg_inherits.inhparent
        join pg_class as partition on partition.oid = pg_inherits.inhrelid
        where (
            parent.oid in ('checks_hourly'::regclass, 'response_times_hourly'::regclass, 'outages_hourly'::regclass)
            and partition.relname ~ '_[0-9]{6}$'
            and to_date(right(partition.relname, 6), 'YYYYMM') + interval '1 month' <= hourly_before
        ) or (
            parent.oid in ('checks_daily'::regclass, 'response_times_daily'::regclass)
            and partition.relname ~ '_[0-9]{4}$'
            and to_date(right(partition.relname, 4), 'YYYY') + interval '1 year' <= daily_before
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

comment on function drop_rollup_partitions(date, date) is 'Drops the months of the hourly rollups and the years of the daily ones that ended before these UTC days; returns how many partitions that were.';
revoke all on function drop_rollup_partitions(date, date) from public;
