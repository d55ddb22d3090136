-- What is checked, and where from. Written by people, by `setup` (site lists) and by `drain`
-- (names first met in an event); read by `probe` with SITES_FROM=database and by every report.

create table websites (
    id integer generated always as identity primary key,
    name text not null,
    url text not null,
    check_interval double precision,
    up_regex text,
    enabled boolean not null default true,
    settings jsonb not null default '{}',
    labels jsonb not null default '{}',
    origin text not null default 'list',
    created_at timestamptz not null default now(),

    constraint websites_name_is_unique unique (name),
    constraint name_has_1_to_200_characters check (length(name) between 1 and 200),
    constraint url_has_1_to_8192_bytes check (octet_length(url) between 1 and 8192),
    constraint check_interval_is_a_second_or_more check (check_interval >= 1),
    constraint settings_is_an_object check (jsonb_typeof(settings) = 'object'),
    constraint labels_is_an_object check (jsonb_typeof(labels) = 'object'),
    constraint origin_is_known check (origin in ('list', 'event')),
    -- An event is a stranger's word: it may be recorded, but must not make us send requests.
    constraint sites_from_events_need_a_person_to_enable_them check (origin <> 'event' or not enabled)
);

comment on table websites is 'Sites: what to check and what counts as up. Rows are never deleted (disable them instead), so that every check has its site without the cost of a foreign key.';
comment on column websites.id is 'What checks refer to.';
comment on column websites.name is 'Unique name; the key of the site''s Kafka messages.';
comment on column websites.url is 'What is requested. Better no credentials here: settings can name where they are.';
comment on column websites.check_interval is 'Seconds between checks; null: CHECK_INTERVAL of the probe.';
comment on column websites.up_regex is 'Regular expression that the page must contain; null: any page will do.';
comment on column websites.enabled is 'Whether probe checks the site when it reads its sites from here.';
comment on column websites.settings is 'Every other field of a site, as in a site file; {} for none.';
comment on column websites.labels is 'Labels, string to string; carried into events.';
comment on column websites.origin is '''list'': entered by a person or a site list. ''event'': first met in an event; url and labels then follow the newest event.';
comment on column websites.created_at is 'When the row was made.';

create table locations (
    id smallint generated always as identity primary key,
    name text not null,

    constraint locations_name_is_unique unique (name),
    constraint name_has_1_to_100_characters check (length(name) between 1 and 100)
);

comment on table locations is 'Where probes run. Two bytes in each check instead of a name.';
comment on column locations.id is 'What checks refer to.';
comment on column locations.name is 'PROBE_LOCATION of the probes there.';

-- A foreign key from checks would more than double the cost of recording one (measured: 2.7 s
-- against 6.6 s for a million). What it would keep true holds as well if nothing it points to
-- ever goes away: ids are generated, and rows can be neither deleted nor given another id.
create function refuse_removal() returns trigger
language plpgsql
as $$
begin
    raise exception 'rows of % are never removed, because checks refer to them', tg_table_name
        using hint = 'Set enabled = false instead; retention removes old checks.';
end
$$;

comment on function refuse_removal() is 'Keeps true that every check has its website and location.';

create trigger websites_are_never_removed
    before delete or update of id on websites
    for each row execute function refuse_removal();
create trigger websites_are_never_truncated
    before truncate on websites
    for each statement execute function refuse_removal();
create trigger locations_are_never_removed
    before delete or update of id on locations
    for each row execute function refuse_removal();
create trigger locations_are_never_truncated
    before truncate on locations
    for each statement execute function refuse_removal();
