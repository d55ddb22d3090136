-- Names of sites and locations come in events, which strangers may write. How many there may be is
-- the operator's to say, those that nobody has named for long are forgotten, and who records them
-- can neither enable a site nor change one that people entered: the rights to do that are not
-- needed, because these functions are what drain and maintain have instead.

create index websites_from_events_index on websites (id) where origin = 'event';

comment on index websites_from_events_index is 'Counts the sites that only events named.';

-- Written again whole by the next import of the list. Probe takes what is needed from its own
-- environment or files: {"env": ...}, {"file": ...}.
alter table websites add constraint url_holds_no_credentials
    check (url !~* '^[a-z][a-z0-9+.-]*://[^/?#]*@') not valid;

comment on column websites.url is 'What is requested. Credentials are refused here: settings name where they are.';

alter table retention add column forgotten bigint not null default 0;

comment on column retention.forgotten is 'Grows whenever sites or locations were forgotten: a drain that knows ids from before does not use them any more.';

create function make_websites(names text[], urls text[], labels text[], max_total integer)
returns table (name text, id integer)
language plpgsql
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    -- In the names' order, so that two drains that meet the same new sites wait for each other
    -- instead of deadlocking.
    insert into websites (name, url, labels, origin, enabled)
    select new.name, regexp_replace(new.url, '^([a-z][a-z0-9+.-]*://)[^/?#]*@', '\1', 'i'), new.labels::jsonb, 'event', false
    from unnest(make_websites.names, make_websites.urls, make_websites.labels) as new (name, url, labels)
    where not exists (select from websites as known where known.name = new.name)
    order by new.name
    limit greatest(0, max_total - (select count(*) from websites as known where known.origin = 'event'))
    on conflict (name) do nothing;
    -- Asked anew: another drain may have made some of them meanwhile.
    return query select known.name, known.id from websites as known where known.name = any (make_websites.names);
end
$$;

comment on function make_websites(text[], text[], text[], integer) is 'Adds sites that an event named, disabled, as long as no more than max_total are there that only events named (those that other transactions are adding are not counted); returns the ids of those of the names that are there then.';

create function follow_events(names text[], urls text[], labels text[]) returns void
language sql
security definer
set search_path from current
as $$
    update websites set url = new.url, labels = new.labels
    from (
        select name, regexp_replace(url, '^([a-z][a-z0-9+.-]*://)[^/?#]*@', '\1', 'i') as url, given.labels::jsonb as labels
        from unnest(names, urls, labels) as given (name, url, labels)
    ) as new
    where websites.name = new.name and websites.origin = 'event'
        and (websites.url, websites.labels) is distinct from (new.url, new.labels)
$$;

comment on function follow_events(text[], text[], text[]) is 'Url and labels of sites that only events named, as the newest event has them. Sites that people entered keep what people wrote.';

create function make_locations(names text[], max_total integer)
returns table (name text, id smallint)
language plpgsql
security definer
set search_path from current
as $$
#variable_conflict use_column
begin
    -- One at a time: there are few, and a smallint has no room for more than are wanted.
    perform pg_advisory_xact_lock(hashtextextended('sitewatch.make_locations', 0));
    -- The lowest ids that are free: a sequence loses one with each transaction that is undone.
    insert into locations (id, name) overriding system value
    select free.id, missing.name
    from (
        select new.name, row_number() over (order by new.name) as position
        from unnest(make_locations.names) as new (name)
        where not exists (select from locations as known where known.name = new.name)
        order by new.name
        limit greatest(0, max_total - (select count(*) from locations))
    ) as missing
    join (
        select number::smallint as id, row_number() over (order by number) as position
        from generate_series(1, 32767) as number
        where not exists (select from locations as known where known.id = number)
    ) as free using (position);
    if found then
        -- For whoever adds one by hand.
        perform setval(pg_get_serial_sequence('locations', 'id'), (select max(known.id) from locations as known));
    end if;
    return query select known.name, known.id from locations as known where known.name = any (make_locations.names);
end
$$;

comment on function make_locations(text[], integer) is 'Adds locations as long as there are no more than max_total in all; returns the ids of those of the names that are there then.';

comment on table websites is 'Sites: what to check and what counts as up. Rows that people entered are never deleted (disable them instead), so that every check has its site without the cost of a foreign key.';

-- Every check has its site and location, still without the cost of a foreign key: what has a state
-- has checks, or had them, and drain writes both at once. Drain holds the lock in shared mode while
-- it records, and looks at retention.forgotten then.
create or replace function refuse_removal() returns trigger
language plpgsql
security definer
set search_path from current
as $$
declare
    is_used boolean := true;
begin
    if tg_op = 'DELETE' then
        perform pg_advisory_xact_lock(hashtextextended('sitewatch.names', 0));
        if tg_table_name = 'locations' then
            is_used := exists (select from website_states where location_id = old.id);
        elsif old.origin = 'event' then
            is_used := exists (select from website_states where website_id = old.id)
                or exists (select from checks where website_id = old.id);
        end if;
        if not is_used then
            return old;
        end if;
    end if;
    raise exception 'rows of % are not removed while checks may refer to them', tg_table_name
        using hint = 'Set enabled = false instead; retention removes old checks, and maintain what only events named.';
end
$$;

comment on function refuse_removal() is 'Keeps true that every check has its website and location.';

create function note_removal() returns trigger
language plpgsql
security definer
set search_path from current
as $$
begin
    update retention set forgotten = forgotten + 1;
    return null;
end
$$;

comment on function note_removal() is 'Tells drains that ids were given up.';

create trigger removed_websites_are_noted
    after delete on websites
    for each statement execute function note_removal();
create trigger removed_locations_are_noted
    after delete on locations
    for each statement execute function note_removal();

-- In two steps: rollups are many, and nobody must wait for them; the rows themselves are few, and go
-- while no drain is recording.
create function forget_names(keep_days integer, max_names integer)
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

comment on function forget_names(integer, integer) is 'Removes sites that only events ever named and locations whose newest check is older than so many days, as judge_clock() has it, with their states and rollups, at most max_names of each; returns how many.';

create function forget_dead_letters(keep_days integer, max_letters integer) returns integer
language plpgsql
security definer
set search_path from current
as $$
declare
    first_kept date := (select today from judge_clock()) - keep_days;
    gone integer;
begin
    if first_kept is null or keep_days < 1 then
        raise exception 'no dead letter is older than it is kept'
            using errcode = 'check_violation',
                detail = case when first_kept is null then 'the clock is in doubt' else 'kept for less than a day' end;
    end if;
    delete from dead_letters where id in (
        select id from dead_letters
        where recorded_at < first_kept::timestamp at time zone 'UTC'
        order by id
        limit max_letters
    );
    get diagnostics gone = row_count;
    return gone;
end
$$;

comment on function forget_dead_letters(integer, integer) is 'Removes dead letters that were recorded more than so many days ago, as judge_clock() has it, the oldest max_letters of them; returns how many.';

do $$
declare
    one text;
begin
    foreach one in array array[
        'make_websites(text[], text[], text[], integer)',
        'follow_events(text[], text[], text[])',
        'make_locations(text[], integer)',
        'refuse_removal()',
        'note_removal()',
        'forget_names(integer, integer)',
        'forget_dead_letters(integer, integer)'
    ] loop
        -- As in V9: pg_temp is searched last.
        execute format('alter function %s set search_path = %I, pg_temp', one, current_schema());
        execute format('revoke all on function %s from public', one);
    end loop;
end
$$;
