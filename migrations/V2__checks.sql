-- What was found: a row a check, written by `drain` alone, by COPY.
--
-- The table's shape is the cost of recording, measured on a million checks:
--   * natural key only: 3.7 s, against 6.3 s with a random event id as key; it also makes repeats
--     of an event harmless without asking;
--   * codes instead of words, labels with the site: 110 bytes a row instead of 178;
--   * days as partitions: no measurable cost, and retention drops a table instead of deleting rows;
--   * BRIN on time: under half a second more; a B-tree on time several.
-- Columns are ordered by alignment, widest first, so that no byte is padding.

create table checks (
    checked_at timestamptz not null,
    website_id integer not null,
    total_us integer not null,
    dns_us integer,
    connect_us integer,
    tls_us integer,
    first_byte_us integer,
    body_us integer,
    local_wait_us integer,
    body_bytes integer,
    location_id smallint not null,
    outcome smallint not null,
    status smallint,
    redirects smallint not null,
    attempts smallint not null,
    up boolean,
    body_match boolean,
    maintenance boolean not null,
    remote_addr inet,
    error text,
    first_error text,

    -- Website first: a site's history is read in order, and the checks of one round, which arrive
    -- together, are spread over the index by site and not over all of it by time.
    primary key (website_id, checked_at, location_id)
) partition by range (checked_at);

create index checks_checked_at_index on checks using brin (checked_at) with (pages_per_range = 32);

comment on table checks is 'One row for each check that was made, partitioned by UTC day.';
comment on column checks.checked_at is 'When the check began.';
comment on column checks.website_id is 'The site: websites.id.';
comment on column checks.total_us is 'Microseconds: the whole check.';
comment on column checks.dns_us is 'Microseconds: looking up the name; null when nothing was looked up.';
comment on column checks.connect_us is 'Microseconds: the TCP connection; null when none was tried.';
comment on column checks.tls_us is 'Microseconds: the TLS handshake; null without TLS.';
comment on column checks.first_byte_us is 'Microseconds: from the connection to the first byte of the answer; null when none came.';
comment on column checks.body_us is 'Microseconds: reading the body; null when none was read.';
comment on column checks.local_wait_us is 'Microseconds that the check waited for a processor of the probe; null: not measured.';
comment on column checks.body_bytes is 'Bytes of the body, decompressed; null when none was read.';
comment on column checks.location_id is 'Where the probe ran: locations.id.';
comment on column checks.outcome is 'How the check ended: outcomes.code.';
comment on column checks.status is 'HTTP status; null when no answer came.';
comment on column checks.redirects is 'Redirects followed.';
comment on column checks.attempts is 'Attempts made, the recorded one included.';
comment on column checks.up is 'true: as expected; false: not; null: the check itself could not be made.';
comment on column checks.body_match is 'Whether the regular expression was found; null: none, or no body.';
comment on column checks.maintenance is 'Whether the site was in a maintenance window: recorded, but not counted.';
comment on column checks.remote_addr is 'Address of the server; null when there was no connection.';
comment on column checks.error is 'What went wrong, for people; null when nothing did.';
comment on column checks.first_error is 'Why the first of several attempts failed; null when there was one only.';

create table outcomes (
    code smallint primary key,
    word text not null unique,
    meaning text not null
);

comment on table outcomes is 'The words for checks.outcome.';
comment on column outcomes.code is 'As in checks.outcome.';
comment on column outcomes.word is 'As in events.';
comment on column outcomes.meaning is 'For people.';

insert into outcomes (code, word, meaning) values
    (0, 'up', 'every expectation was met'),
    (1, 'status', 'the status is not one the site expects'),
    (2, 'body', 'the body is not as expected'),
    (3, 'header', 'a response header is not as expected'),
    (4, 'slow', 'right, but later than the site allows'),
    (5, 'timeout', 'no complete answer in time'),
    (6, 'dns', 'the host name has no address'),
    (7, 'connect', 'no connection'),
    (8, 'tls', 'the TLS handshake failed'),
    (9, 'certificate', 'the certificate is not to be trusted or expires too soon'),
    (10, 'redirect', 'a redirect that leads nowhere or is not allowed'),
    (11, 'protocol', 'not HTTP, or cut off'),
    (12, 'denied', 'not checked: the address is forbidden'),
    (13, 'local', 'not checked: the probe itself could not');

-- `security definer`: drain makes the day it needs without the right to make tables.
create function create_check_partitions(first_day date, last_day date) returns integer
language plpgsql
security definer
set search_path from current
as $$
declare
    day date := first_day;
    partition_name text;
    made integer := 0;
begin
    if last_day - first_day > 3700 then
        raise exception 'days from % to % are more than ten years', first_day, last_day;
    end if;
    while day <= last_day loop
        partition_name := 'checks_' || to_char(day, 'YYYYMMDD');
        if to_regclass(quote_ident(partition_name)) is null then
            -- Two drains may need the same day at once.
            perform pg_advisory_xact_lock(hashtextextended('sitewatch.create_check_partitions', 0));
            -- Asked of the catalog itself: to_regclass remembers that there was none.
            if not exists (
                select from pg_class
                where relname = partition_name
                  and relnamespace = (select relnamespace from pg_class where oid = 'checks'::regclass)
            ) then
                -- Made alone and then attached: that takes a lock on checks which lets others go
                -- on inserting; `partition of` would not.
                execute format('create table %I (like checks including defaults including constraints)', partition_name);
                execute format(
                    'alter table checks attach partition %I for values from (%L) to (%L)',
                    partition_name,
                    day::timestamp at time zone 'UTC',
                    (day + 1)::timestamp at time zone 'UTC'
                );
                made := made + 1;
            end if;
        end if;
        day := day + 1;
    end loop;
    return made;
end
$$;

comment on function create_check_partitions(date, date) is 'Makes the partitions of checks for these UTC days, where they are missing; returns how many it made. Safe to call at any time and by several at once.';
revoke all on function create_check_partitions(date, date) from public;
