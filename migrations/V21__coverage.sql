-- Which part of the time the checks of a site cover. Each check is made for a slot and covers the
-- time until the next one; what no check covers, nobody looked at, and nothing is known of it.

alter table checks
    add column scheduled_at timestamptz,
    add column interval_ms integer;

comment on column checks.scheduled_at is 'The slot that the check was made for; null: the probe was told no period, or is of a release before slots.';
comment on column checks.interval_ms is 'How far apart the site''s slots are, in milliseconds; null as scheduled_at is.';

alter table website_states
    add column first_scheduled_at timestamptz,
    add column interval_ms integer;

comment on column website_states.first_scheduled_at is 'The first slot of all that a check was made for: what its coverage goes back to; null: none yet.';
comment on column website_states.interval_ms is 'checks.interval_ms of the newest check; null: its probe was told no period, so that its coverage is not known.';

alter table checks_hourly
    add column slots integer,
    add column duplicates integer,
    add column covered_ms bigint,
    add constraint slots_are_counted_or_not check ((slots is null) = (duplicates is null) and (slots is null) = (covered_ms is null));

comment on column checks_hourly.slots is 'Slots for which a check was made that found the site up or down, in maintenance or not. One that is made a moment late counts in the hour in which it was made. Null: no check had a slot, or rolled up before this column.';
comment on column checks_hourly.duplicates is 'Checks for slots beyond the first of each: two schedulers do the same.';
comment on column checks_hourly.covered_ms is 'The time that these slots cover, from each to the next, in milliseconds.';

alter table checks_daily
    add column slots integer,
    add column duplicates integer,
    add column covered_ms bigint,
    add constraint slots_are_counted_or_not check ((slots is null) = (duplicates is null) and (slots is null) = (covered_ms is null));

comment on column checks_daily.slots is 'As in checks_hourly, added up.';
comment on column checks_daily.duplicates is 'As in checks_hourly, added up.';
comment on column checks_daily.covered_ms is 'As in checks_hourly, added up.';

-- What of each hour should have been looked at and was. Hours without any check have no row: all of
-- their slots were missed.
create view coverage_hourly as
select
    counted.hour, counted.website_id, counted.location_id,
    counted.slots + missed.slots as slots_due,
    counted.slots as slots_checked,
    missed.slots as slots_missed,
    counted.duplicates
from checks_hourly as counted
join website_states as state
    on state.website_id = counted.website_id and state.location_id = counted.location_id
cross join lateral (
    -- From the first slot of all on; of the rest, whole slots.
    select greatest(
        floor((
            extract(epoch from counted.hour + interval '1 hour' - greatest(counted.hour, state.first_scheduled_at)) * 1000
                - counted.covered_ms
        ) / nullif(coalesce(counted.covered_ms / nullif(counted.slots, 0), state.interval_ms), 0)),
        0
    )::integer as slots
) as missed
where counted.slots is not null;

comment on view coverage_hourly is 'Slots of a site and location in each hour that is rolled up and has checks: due, checked, missed, and checked more than once. What is checked a moment late counts in the hour in which it was checked, so that of two neighbouring hours one may have a slot less and the other one more.';
comment on column coverage_hourly.hour is 'When the hour begins.';
comment on column coverage_hourly.website_id is 'The site: websites.id.';
comment on column coverage_hourly.location_id is 'Where the probe ran: locations.id.';
comment on column coverage_hourly.slots_due is 'Those for which a check should have been made, from the first slot of all on.';
comment on column coverage_hourly.slots_checked is 'Those for which one was made that found the site up or down.';
comment on column coverage_hourly.slots_missed is 'Whole slots that no check covers, as far apart as those that were checked.';
comment on column coverage_hourly.duplicates is 'Checks beyond the first of a slot.';
