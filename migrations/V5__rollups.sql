-- What stays when single checks go: counts, response times and outages by hour and by day. Written
-- by `maintain` from `checks`, whole hours and days at a time, so that doing it again changes
-- nothing.
--
-- Which hours have to be done is what `drain` leaves in dirty_hours, in the transaction that
-- records the checks: a row a batch and hour, always a new one. Nobody waits for anybody that way,
-- and whoever sees the mark in a snapshot sees the checks as well. A check that comes days late
-- marks its hour like any other.

create table dirty_hours (
    id bigint generated always as identity primary key,
    hour timestamptz not null,

    constraint hour_is_a_whole_hour check (extract(epoch from hour)::bigint % 3600 = 0)
);

create index dirty_hours_hour_index on dirty_hours (hour);

comment on table dirty_hours is 'Hours with checks that the rollups lack; a row for each batch that wrote to the hour.';
comment on column dirty_hours.id is 'Order of recording: what is deleted is what was seen, and nothing newer.';
comment on column dirty_hours.hour is 'When the hour begins.';

create table dirty_days (
    day date primary key
);

comment on table dirty_days is 'Days whose hours changed since the day was rolled up. Written by maintain alone.';
comment on column dirty_days.day is 'The UTC day.';

-- Response times are kept as histograms, because those can be added up and percentiles cannot.
-- Sixteen buckets to each doubling: bucket b holds 2^(b/16) up to 2^((b+1)/16) microseconds, so
-- that a percentile read from it is at most 2.2 % beside the true one, whatever its size. Only
-- buckets that hold something are stored, each as one integer: bucket * 2^22 + count.

create function histogram_bucket(microseconds integer) returns integer
language sql immutable parallel safe
as $$
    select case
        when microseconds > 1 then floor(ln(microseconds::double precision) * 23.083120654223414)::integer
        else 0
    end
$$;

comment on function histogram_bucket(integer) is 'The bucket of a time in microseconds: 16 * log2, rounded down.';

create function histogram_element(bucket integer, counted bigint) returns integer
language sql immutable parallel safe
as $$
    select (bucket << 22) | least(counted, 4194303)::integer
$$;

comment on function histogram_element(integer, bigint) is 'A bucket with its count (at most 4,194,303) as one integer.';

create function histogram_percentile(elements integer[], fraction double precision) returns double precision
language sql immutable parallel safe
as $$
    -- The value that is as far, in per cent, from both ends of the bucket.
    select 2 * power(2, bucket / 16.0::double precision) / (1 + power(2, -1 / 16.0::double precision))
    from (
        select
            element >> 22 as bucket,
            sum(sum(element & 4194303)) over (order by element >> 22) as up_to_here,
            sum(sum(element & 4194303)) over () as everything
        from unnest(elements) as element
        group by element >> 22
    ) as buckets
    where up_to_here >= fraction * everything
    order by bucket
    limit 1
$$;

comment on function histogram_percentile(integer[], double precision) is 'Microseconds that this fraction of the measurements did not exceed, at most 2.2 % off; null without any. Elements of several histograms may be mixed: histogram_percentile(array_agg(element), 0.95) from response_times_hourly, unnest(total) as element.';

create function histogram_count(elements integer[]) returns bigint
language sql immutable parallel safe
as $$
    select coalesce(sum(element & 4194303), 0)::bigint from unnest(elements) as element
$$;

comment on function histogram_count(integer[]) is 'How many measurements a histogram (or outcomes) holds.';

create table checks_hourly (
    hour timestamptz not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    first_known_at timestamptz,
    website_id integer not null,
    checks integer not null,
    up integer not null,
    down integer not null,
    unknown integer not null,
    maintenance integer not null,
    location_id smallint not null,
    outcomes integer[] not null,

    -- Hour first: rows are written an hour at a time and lie together on few pages of the index.
    primary key (hour, website_id, location_id),
    constraint hour_is_a_whole_hour check (extract(epoch from hour)::bigint % 3600 = 0),
    constraint each_check_is_counted_once check (checks = up + down + unknown + maintenance),
    constraint known_checks_have_a_first check ((first_known_at is null) = (up + down = 0))
) partition by range (hour);

comment on table checks_hourly is 'Checks of an hour, counted per site and place; partitioned by month.';
comment on column checks_hourly.hour is 'When the hour begins.';
comment on column checks_hourly.first_at is 'The first check of the hour.';
comment on column checks_hourly.last_at is 'The last one.';
comment on column checks_hourly.first_known_at is 'The first one that found the site up or down and counts; null: none.';
comment on column checks_hourly.website_id is 'The site: websites.id.';
comment on column checks_hourly.checks is 'All checks.';
comment on column checks_hourly.up is 'Those that found the site as expected, outside maintenance.';
comment on column checks_hourly.down is 'Those that did not, outside maintenance.';
comment on column checks_hourly.unknown is 'Those that could not be made, outside maintenance.';
comment on column checks_hourly.maintenance is 'Those in a maintenance window: counted here only.';
comment on column checks_hourly.location_id is 'Where the probe ran: locations.id.';
comment on column checks_hourly.outcomes is 'How the checks outside maintenance ended: outcomes.code * 2^22 + count; elements of the same code add up.';

create table response_times_hourly (
    hour timestamptz not null,
    website_id integer not null,
    location_id smallint not null,
    total integer[] not null,
    dns integer[] not null,
    connect integer[] not null,
    tls integer[] not null,
    first_byte integer[] not null,
    body integer[] not null,

    primary key (hour, website_id, location_id),
    constraint hour_is_a_whole_hour check (extract(epoch from hour)::bigint % 3600 = 0)
) partition by range (hour);

comment on table response_times_hourly is 'Histograms of an hour''s response times per site and place, of the checks in which an answer came, outside maintenance; partitioned by month. Apart from the counts, which are read far more often. See histogram_percentile.';
comment on column response_times_hourly.hour is 'When the hour begins.';
comment on column response_times_hourly.website_id is 'The site: websites.id.';
comment on column response_times_hourly.location_id is 'Where the probe ran: locations.id.';
comment on column response_times_hourly.total is 'The whole check.';
comment on column response_times_hourly.dns is 'Looking up the name.';
comment on column response_times_hourly.connect is 'The TCP connection.';
comment on column response_times_hourly.tls is 'The TLS handshake.';
comment on column response_times_hourly.first_byte is 'From the connection to the first byte of the answer.';
comment on column response_times_hourly.body is 'Reading the body.';

create table checks_daily (
    day date not null,
    website_id integer not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    checks integer not null,
    up integer not null,
    down integer not null,
    unknown integer not null,
    maintenance integer not null,
    location_id smallint not null,
    outcomes integer[] not null,

    primary key (day, website_id, location_id),
    constraint each_check_is_counted_once check (checks = up + down + unknown + maintenance)
) partition by range (day);

comment on table checks_daily is 'Checks of a UTC day, counted per site and place; partitioned by year. Added up from checks_hourly once the day is over.';
comment on column checks_daily.day is 'The UTC day.';
comment on column checks_daily.first_at is 'The first check of the day.';
comment on column checks_daily.last_at is 'The last one.';
comment on column checks_daily.website_id is 'The site: websites.id.';
comment on column checks_daily.checks is 'All checks.';
comment on column checks_daily.up is 'Those that found the site as expected, outside maintenance.';
comment on column checks_daily.down is 'Those that did not, outside maintenance.';
comment on column checks_daily.unknown is 'Those that could not be made, outside maintenance.';
comment on column checks_daily.maintenance is 'Those in a maintenance window: counted here only.';
comment on column checks_daily.location_id is 'Where the probe ran: locations.id.';
comment on column checks_daily.outcomes is 'How the checks outside maintenance ended: outcomes.code * 2^22 + count; elements of the same code add up.';

create table response_times_daily (
    day date not null,
    website_id integer not null,
    location_id smallint not null,
    total integer[] not null,
    dns integer[] not null,
    connect integer[] not null,
    tls integer[] not null,
    first_byte integer[] not null,
    body integer[] not null,

    primary key (day, website_id, location_id)
) partition by range (day);

comment on table response_times_daily is 'Histograms of a UTC day''s response times per site and place, as response_times_hourly; partitioned by year.';
comment on column response_times_daily.day is 'The UTC day.';
comment on column response_times_daily.website_id is 'The site: websites.id.';
comment on column response_times_daily.location_id is 'Where the probe ran: locations.id.';
comment on column response_times_daily.total is 'The whole check.';
comment on column response_times_daily.dns is 'Looking up the name.';
comment on column response_times_daily.connect is 'The TCP connection.';
comment on column response_times_daily.tls is 'The TLS handshake.';
comment on column response_times_daily.first_byte is 'From the connection to the first byte of the answer.';
comment on column response_times_daily.body is 'Reading the body.';

-- `security definer`: maintain makes partitions without owning the tables.
create function create_rollup_partitions(first_day date, last_day date) returns integer
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
    foreach parent in array array['checks_hourly', 'response_times_hourly', 'outages_hourly', 'checks_daily', 'response_times_daily'] loop
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

comment on function create_rollup_partitions(date, date) is 'Makes the partitions of the rollups for these UTC days, where they are missing; returns how many it made. Safe to call at any time and by several at once.';
revoke all on function create_rollup_partitions(date, date) from public;

-- Checks that were recorded before there were rollups.
insert into dirty_hours (hour)
select distinct date_trunc('hour', checked_at, 'UTC') from checks;
