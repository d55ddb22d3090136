-- Retention does not believe a clock that the data contradicts. One run by a clock a hundred days
-- ahead used to drop the whole history and to mark the days to come as dropped. What may be dropped
-- is decided here, by PostgreSQL's clock and by what is recorded: a caller can neither bring a clock
-- of its own nor name a day that is not old.

alter table retention add column last_run date;

comment on column retention.last_run is 'The UTC day of the last run of maintain whose clock was believed; null: none yet. Written by judge_clock() alone.';

update retention set
    -- A clock that was ahead once may have left a day to come here.
    checks_from = least(checks_from, (now() at time zone 'UTC')::date),
    last_run = (
        select (max(checked_at) at time zone 'UTC')::date
        from website_states
        where checked_at <= now()
    );

-- Seven days: longer than a scheduler is usually away, and short enough that a jump which is not
-- noticed costs little of a history of months. A longer jump is believed once seven days hold
-- checks since: the time has then really passed, or somebody has left a wrong clock for a week.
create function judge_clock(
    out clock date,
    out newest_check date,
    out last_run date,
    out days_since integer,
    out today date
)
language plpgsql
security definer
set search_path from current
as $$
begin
    clock := (now() at time zone 'UTC')::date;
    newest_check := (select (max(checked_at) at time zone 'UTC')::date from website_states where checked_at <= now());
    last_run := (select retention.last_run from retention);
    days_since := (
        select count(*)
        from check_partitions
        where day > judge_clock.last_run
            and day <= judge_clock.clock
            and exists (
                select from checks
                where checked_at >= day::timestamp at time zone 'UTC'
                    and checked_at < (day + 1)::timestamp at time zone 'UTC'
            )
    );
    if clock - newest_check <= 7 and (last_run is null or clock - last_run <= 7 or days_since >= 7) then
        today := newest_check;
        update retention set last_run = clock where retention.last_run is distinct from clock;
    end if;
end
$$;

comment on function judge_clock() is 'Which day it is for retention: today, the day of the newest check, or null when PostgreSQL''s clock is not believed. It is not when it is more than seven days ahead of the newest check, or of the last run while fewer than seven days (days_since) hold checks since.';
revoke all on function judge_clock() from public;

create function drop_check_partition(of_day date, keep_days integer) returns boolean
language plpgsql
security definer
set search_path from current
as $$
declare
    first_kept date;
    partition_name text;
begin
    first_kept := (select today from judge_clock()) - keep_days;
    if keep_days < 1 or first_kept is null or of_day >= first_kept then
        raise exception 'the checks of % are not older than they are kept', of_day
            using errcode = 'check_violation',
                detail = format('kept for %s days, from %s', keep_days, coalesce(first_kept::text, '(the clock is in doubt)'));
    end if;
    -- The lock that dropping takes anyway, taken first: a drain that is recording holds it for a
    -- moment, and the caller's lock_timeout sees to it that others do not queue behind us for long.
    lock table only checks in access exclusive mode;
    select name into partition_name from check_partitions where day = of_day;
    if partition_name is null then
        return true;
    end if;
    -- Nobody can add to the day any more. What came since it was rolled up is rolled up first.
    if exists (
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

comment on function drop_check_partition(date, integer) is 'Drops a UTC day of checks that is older than so many days; false when the rollups lack something of it. An error when it is not that old, as judge_clock() has it. Days have to go oldest first.';
revoke all on function drop_check_partition(date, integer) from public;

create function drop_rollup_partitions(keep_hourly_days integer, keep_daily_days integer) returns integer
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
            parent.oid in ('checks_hourly'::regclass, 'response_times_hourly'::regclass, 'outages_hourly'::regclass)
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

comment on function drop_rollup_partitions(integer, integer) is 'Drops the months of the hourly rollups and the years of the daily ones that ended more than so many days ago, as judge_clock() has it; returns how many partitions that were.';
revoke all on function drop_rollup_partitions(integer, integer) from public;

-- Whoever might drop may still, by the functions that look at what they drop.
do $$
declare
    granted record;
    mine text[] := array['judge_clock()', 'drop_check_partition(date, integer)', 'drop_rollup_partitions(integer, integer)'];
    one text;
begin
    foreach one in array mine loop
        -- As in V9: pg_temp is searched last.
        execute format('alter function %s set search_path = %I, pg_temp', one, current_schema());
    end loop;
    for granted in
        select distinct acl.grantee::regrole as role
        from pg_proc
        cross join lateral aclexplode(proacl) as acl
        where pg_proc.oid = 'drop_check_partition(date)'::regprocedure
            and acl.privilege_type = 'EXECUTE'
            and acl.grantee not in (0, proowner)
    loop
        foreach one in array mine loop
            execute format('grant execute on function %s to %s', one, granted.role);
        end loop;
    end loop;
end
$$;

drop function drop_check_partition(date);
drop function drop_rollup_partitions(date, date);
