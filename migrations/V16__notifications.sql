-- Who was told what. `notify` compares what the checks say with what it has told, writes down in one
-- transaction what it owes to whom, sends that afterwards and marks it as sent. So a change is decided
-- once, whoever runs and whenever a run is killed, and each message has a key that its receiver
-- recognises when it comes a second time.

create table notify_progress (
    only_one boolean primary key default true,
    decided_at timestamptz,

    constraint there_is_one_row check (only_one)
);

insert into notify_progress default values;

comment on table notify_progress is 'How far notify has come: a single row. Whoever decides or takes messages to send them holds it locked.';
comment on column notify_progress.only_one is 'Keeps the table at one row.';
comment on column notify_progress.decided_at is 'When notify last compared what is so with what it has told; null: never yet.';

create table notified_incidents (
    id bigint generated always as identity primary key,
    key uuid not null default gen_random_uuid(),
    opened_at timestamptz not null,
    last_opened_at timestamptz not null,
    last_closed_at timestamptz,
    closed_at timestamptz,
    acknowledged_at timestamptz,
    reminded_at timestamptz,
    website_id integer not null references websites (id) on delete cascade,
    times integer not null default 1,
    reminders integer not null default 0,
    is_told boolean not null,
    kind text not null,
    acknowledged_by text,

    constraint kind_is_known check (kind in ('availability', 'certificate', 'monitoring')),
    constraint it_happened_once_or_more check (times >= 1),
    constraint reminders_are_counted_from_zero check (reminders >= 0),
    constraint it_happens_in_order check (
        opened_at <= last_opened_at and last_opened_at <= last_closed_at and closed_at <= last_closed_at
    ),
    constraint who_acknowledged_did_so_at_a_time check (acknowledged_by is null or acknowledged_at is not null)
);

create unique index one_incident_of_a_kind_is_open on notified_incidents (website_id, kind)
    where closed_at is null;
create index notified_incidents_website_id_index on notified_incidents (website_id);
create index notified_incidents_closed_at_index on notified_incidents (closed_at);

comment on table notified_incidents is 'Incidents as notify has told them: a site that is down again soon after is the same one. notify removes them, with what was told of them, 180 days after their end.';
comment on column notified_incidents.id is 'The number that messages name, and NOTIFY_ACKNOWLEDGE.';
comment on column notified_incidents.key is 'What receivers that keep incidents know it by.';
comment on column notified_incidents.opened_at is 'When it began.';
comment on column notified_incidents.last_opened_at is 'When the latest of its outages began.';
comment on column notified_incidents.last_closed_at is 'When that one ended; null: it goes on.';
comment on column notified_incidents.closed_at is 'When it ended, once that was decided to be told; null: it is open.';
comment on column notified_incidents.acknowledged_at is 'When somebody said that they look after it; null: nobody did. Reminders end with it; set by notify or by hand.';
comment on column notified_incidents.reminded_at is 'When a reminder was last decided; null: never yet.';
comment on column notified_incidents.website_id is 'The site: websites.id.';
comment on column notified_incidents.times is 'Outages in it; of a certificate: the thresholds that it has passed.';
comment on column notified_incidents.reminders is 'Reminders decided so far.';
comment on column notified_incidents.is_told is 'false: from before notify was to tell anything (NOTIFY_SINCE).';
comment on column notified_incidents.kind is '''availability'': down; ''certificate'': expires soon; ''monitoring'': not checked any more.';
comment on column notified_incidents.acknowledged_by is 'Who said so; null: not known.';

create table notifications (
    id bigint generated always as identity primary key,
    incident_id bigint not null references notified_incidents (id) on delete cascade,
    message uuid not null,
    thread uuid not null,
    decided_at timestamptz not null default now(),
    next_attempt_at timestamptz not null default now(),
    sent_at timestamptz,
    given_up_at timestamptz,
    number integer not null,
    attempts integer not null default 0,
    event text not null,
    channel text not null,
    notice jsonb not null,
    error text,

    constraint a_channel_is_told_once unique (incident_id, event, number, channel),
    constraint event_is_known check (event in (
        'down', 'up', 'certificate', 'certificate_renewed', 'monitoring_stopped', 'resumed',
        'reminder', 'acknowledged'
    )),
    constraint channel_has_1_to_100_characters check (length(channel) between 1 and 100),
    constraint notice_is_an_object check (jsonb_typeof(notice) = 'object'),
    constraint attempts_are_counted_from_zero check (attempts >= 0),
    constraint it_is_sent_or_given_up check (sent_at is null or given_up_at is null)
);

create index notifications_pending_index on notifications (id)
    where sent_at is null and given_up_at is null;

comment on table notifications is 'The outbox: what is owed to whom, a row for each incident, event and channel.';
comment on column notifications.id is 'In the order of decision.';
comment on column notifications.incident_id is 'The incident.';
comment on column notifications.message is 'The idempotency key of the message that tells it; those told together share it.';
comment on column notifications.thread is 'What a receiver that keeps incidents is told it under: the incident''s key, or that of the message in which it was first told together with others.';
comment on column notifications.decided_at is 'When it was decided.';
comment on column notifications.next_attempt_at is 'Not to be sent before: after a failure, and while a run has it in hand.';
comment on column notifications.sent_at is 'When its receiver took it; null: not yet.';
comment on column notifications.given_up_at is 'When it was given up as undeliverable (NOTIFY_GIVE_UP); null: it was not.';
comment on column notifications.number is 'Which one of its event in the incident, from 1: reminders, thresholds, the second time of what flaps.';
comment on column notifications.attempts is 'Attempts that failed.';
comment on column notifications.event is 'What is told.';
comment on column notifications.channel is 'To whom: the name of an address in NOTIFY_URLS, never the address.';
comment on column notifications.notice is 'What was known when it was decided, so that a repeat says the same.';
comment on column notifications.error is 'Why the latest attempt failed, without secrets; null: it did not.';
