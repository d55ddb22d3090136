-- What is so now, per site and place: what a report asks first, without reading the history.
-- Written by `drain` in the transaction that records the checks.

create table website_states (
    website_id integer not null references websites (id),
    location_id smallint not null references locations (id),
    checked_at timestamptz not null,
    since timestamptz not null,
    certificate_not_after timestamptz,
    outcome smallint not null references outcomes (code),
    up boolean,
    certificate_issuer text,
    certificate_error text,
    tls_version text,
    final_url text,

    primary key (website_id, location_id),
    constraint a_state_begins_with_a_check check (since <= checked_at)
)
-- Each batch rewrites these rows: room in the page keeps that free of index writes (HOT updates).
with (fillfactor = 50);

comment on table website_states is 'The newest check of each site from each place.';
comment on column website_states.website_id is 'The site.';
comment on column website_states.location_id is 'Where the probe ran.';
comment on column website_states.checked_at is 'When the newest check began; with site and place the key of its row in checks.';
comment on column website_states.since is 'When the first of the unbroken row of checks with this value of up began.';
comment on column website_states.certificate_not_after is 'When the certificate seen last expires; null: never seen one.';
comment on column website_states.outcome is 'How the newest check ended.';
comment on column website_states.up is 'true: up; false: down; null: the newest check could not be made.';
comment on column website_states.certificate_issuer is 'Who issued the certificate seen last; null: never seen one.';
comment on column website_states.certificate_error is 'Why it is not to be trusted; null when it is, or when none was ever seen.';
comment on column website_states.tls_version is 'The version of TLS spoken last; null: none yet.';
comment on column website_states.final_url is 'Where redirects led in the newest check; null when there were none.';

-- Readers of an older layout (one json document a check) find it here.
create view website_status as
select
    checks.website_id,
    checks.checked_at at time zone 'UTC' as timestamp_utc,
    json_build_object(
        'name', websites.name,
        'url', websites.url,
        'location', locations.name,
        'up', checks.up,
        'outcome', outcomes.word,
        'error', checks.error,
        'status_code', checks.status,
        'response_time', checks.total_us / 1000000.0,
        'regex_match', checks.body_match
    ) as request_info
from checks
join websites on websites.id = checks.website_id
join locations on locations.id = checks.location_id
join outcomes on outcomes.code = checks.outcome;

comment on view website_status is 'Checks as one json document each, for readers of that older layout.';
comment on column website_status.website_id is 'The site: websites.id.';
comment on column website_status.timestamp_utc is 'When the check began, without a zone: UTC.';
comment on column website_status.request_info is 'The check; response_time in seconds.';
