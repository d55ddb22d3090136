-- A history for the benchmark: bench.sites sites from bench.locations locations, checked once a minute.
--   * the last 12 hours and the running one as single checks, marked to be rolled up;
--   * one whole day, 100 days ago, from the first location, as single checks that nobody should read any more;
--   * 8 days of hours and 90 days of days as rollups, and incidents over 90 days.
-- One site in 500 is down all the time, one check in 1,000 fails.

insert into websites (name, url, labels)
select
    'site-' || to_char(n, 'FM00000'),
    'https://www' || n || '.example.com/some/page',
    jsonb_build_object('team', 'team-' || n % 20)
from generate_series(1, current_setting('bench.sites')::integer) as n;

insert into locations (name)
select 'bench-' || n from generate_series(1, current_setting('bench.locations')::integer) as n;

select create_check_partitions(day, day)
from (
    values
        ((now() at time zone 'UTC')::date - 100),
        ((now() at time zone 'UTC')::date - 1),
        ((now() at time zone 'UTC')::date)
) as needed (day);
select create_rollup_partitions((now() at time zone 'UTC')::date - 91, (now() at time zone 'UTC')::date);

create function pg_temp.fill(from_time timestamptz, to_time timestamptz, first_location_alone boolean) returns void
language sql
as $$
    insert into checks (
        checked_at, website_id, location_id, total_us, dns_us, connect_us, tls_us, first_byte_us, body_us,
        local_wait_us, body_bytes, outcome, status, redirects, attempts, up, body_match, maintenance,
        remote_addr, error, scheduled_at, interval_ms
    )
    select
        minute + site * interval '5 milliseconds', site, location_id,
        took + 36000, took / 10, took / 8, took / 3, took / 4, 500,
        10, 5000, case when fails then 1 else 0 end, case when fails then 503 else 200 end, 0, 1, not fails, not fails,
        false, '192.0.2.44', case when fails then 'status 503, expected 200-399' end, minute, 60000
    from (
        select
            minute, site, locations.id as location_id,
            (20000 + (site % 97) * 1000 + exp(10 * random()))::integer as took,
            site % 500 = 0 or random() < 0.001 as fails
        from generate_series(from_time, to_time, interval '1 minute') as minute
        cross join generate_series(1, current_setting('bench.sites')::integer) as site
        cross join locations
        where (locations.id = (select min(id) from locations) or not first_location_alone)
            and minute + site * interval '5 milliseconds' < now()
    ) as made
$$;

select pg_temp.fill(date_trunc('day', now(), 'UTC') - interval '100 days', date_trunc('day', now(), 'UTC') - interval '99 days 1 minute', true);
select pg_temp.fill(date_trunc('hour', now(), 'UTC') - interval '12 hours', now(), false);

insert into dirty_hours (hour)
select generate_series(date_trunc('hour', now(), 'UTC') - interval '12 hours', now(), interval '1 hour');

insert into website_states (
    website_id, location_id, checked_at, first_known_at, certificate_not_after, outcome, up, first_scheduled_at, interval_ms
)
select distinct on (website_id, location_id)
    website_id, location_id, checked_at, checked_at - interval '100 days', now() + website_id * interval '10 minutes',
    outcome, up, checked_at - interval '100 days', interval_ms
from checks
-- Not of now: filling has taken minutes.
where checked_at > (select max(checked_at) from checks) - interval '2 minutes'
order by website_id, location_id, checked_at desc;

-- Histograms as the checks above would give them, one for each kind of site.
create temporary table shape as
select
    kind,
    per_hour,
    array_agg(histogram_element(bucket, n) order by bucket) as total,
    array_agg(histogram_element(greatest(bucket - 50, 0), n) order by bucket) as phase
from (values (60), (1440)) as size (per_hour)
cross join generate_series(0, 96) as kind
cross join lateral (
    select histogram_bucket((56000 + kind * 1000 + exp(10 * (k + 0.5) / per_hour))::integer) as bucket, count(*) as n
    from generate_series(0, per_hour - 1) as k
    group by 1
) as measured
group by kind, per_hour;

insert into checks_hourly (hour, website_id, location_id, checks, up, down, unknown, maintenance, outcomes, first_at, last_at, first_known_at, slots, duplicates, covered_ms)
select
    hour, site, locations.id, 60, case when site % 500 = 0 then 0 else 60 end, case when site % 500 = 0 then 60 else 0 end, 0, 0,
    array[histogram_element(case when site % 500 = 0 then 1 else 0 end, 60)], hour, hour + interval '59 minutes', hour,
    60, 0, 3600000
from generate_series(
    date_trunc('hour', now(), 'UTC') - interval '8 days',
    date_trunc('hour', now(), 'UTC') - interval '13 hours',
    interval '1 hour'
) as hour
cross join generate_series(1, current_setting('bench.sites')::integer) as site
cross join locations;

insert into response_times_hourly (hour, website_id, location_id, total, dns, connect, tls, first_byte, body)
select hour, website_id, location_id, total, phase, phase, phase, phase, array[histogram_element(143, 60)]
from checks_hourly
join shape on shape.kind = website_id % 97 and shape.per_hour = 60;

insert into checks_daily (day, website_id, location_id, checks, up, down, unknown, maintenance, outcomes, first_at, last_at, slots, duplicates, covered_ms)
select
    day, site, locations.id, 1440, 1440 - down, down, 0, 0,
    array[histogram_element(0, 1440 - down), histogram_element(1, down)],
    day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC' - interval '1 minute',
    1440, 0, 86400000
from (
    select
        (now() at time zone 'UTC')::date - ago as day, site,
        case when site % 500 = 0 then 1440 when (site + ago) % 10 = 0 then 12 else 0 end as down
    from generate_series(1, 90) as ago
    cross join generate_series(1, current_setting('bench.sites')::integer) as site
) as made
cross join locations;

insert into response_times_daily (day, website_id, location_id, total, dns, connect, tls, first_byte, body)
select day, website_id, location_id, total, phase, phase, phase, phase, array[histogram_element(143, 1440)]
from checks_daily
join shape on shape.kind = website_id % 97 and shape.per_hour = 1440;

insert into outages_hourly (hour, started_at, last_down_at, ended_at, website_id, checks, location_id, outcome, follows_up, error)
select
    hour,
    hour + case when site % 500 = 0 then interval '0' else interval '10 minutes' end,
    hour + case when site % 500 = 0 then interval '59 minutes' else interval '21 minutes' end,
    case when site % 500 = 0 then null else hour + interval '22 minutes' end,
    site, case when site % 500 = 0 then 60 else 12 end, locations.id, 1, site % 500 <> 0, 'status 503, expected 200-399'
from generate_series(
    date_trunc('hour', now(), 'UTC') - interval '90 days',
    date_trunc('hour', now(), 'UTC') - interval '13 hours',
    interval '1 hour'
) as hour
cross join generate_series(1, current_setting('bench.sites')::integer) as site
cross join locations
where site % 500 = 0 or (extract(epoch from hour)::bigint / 3600 + site) % 240 = 0;

insert into location_states_hourly (
    hour, website_id, location_id, up, turned_at, failing_since, failing_outcome, failing_error, results
)
select
    hour, website_id, location_id, ended_at is not null, case when follows_up then coalesce(ended_at, started_at) end,
    case when ended_at is null then started_at end, case when ended_at is null then outcome end,
    case when ended_at is null then error end, '{}'
from outages_hourly;

insert into verdicts_hourly (
    hour, website_id, started_at, verdict, turned, failures, first_failed_at, last_failed_at, outcome, error, locations
)
select
    hour, website_id, min(started_at), 'down', bool_or(follows_up), sum(checks), min(started_at), max(last_down_at),
    min(outcome), min(error), array_agg(location_id order by location_id)
from outages_hourly
group by hour, website_id
union all
select hour, website_id, max(ended_at), 'up', true, 0, null, null, null, null, '{}'
from outages_hourly
where ended_at is not null
group by hour, website_id;

insert into location_states (website_id, location_id, hour, up, failing_since, since)
select distinct on (website_id, location_id) website_id, location_id, hour, up, failing_since, turned_at
from location_states_hourly
order by website_id, location_id, hour desc;

insert into website_verdicts (website_id, hour, verdict, since)
select distinct on (website_id) website_id, hour, verdict, started_at
from verdicts_hourly
order by website_id, hour desc, started_at desc;

update website_states as state
set last_up_at = known.last_up_at,
    last_down_at = known.last_down_at
from (
    select website_id, location_id, max(last_up_at) as last_up_at, max(last_down_at) as last_down_at
    from (
        select website_id, location_id, null as last_up_at, last_down_at from outages_hourly
        union all
        select website_id, location_id, max(checked_at) filter (where up), max(checked_at) filter (where not up)
        from checks
        group by website_id, location_id
    ) as either
    group by website_id, location_id
) as known
where known.website_id = state.website_id and known.location_id = state.location_id;

-- What autovacuum does in time, done now; others' tables are none of our business.
set client_min_messages = error;
vacuum analyze;
