-- Where recording has got to, and what could not be recorded. Written by `drain` in the same
-- transaction as the checks: that is what makes a check recorded exactly once.

create table kafka_offsets (
    topic text not null,
    partition integer not null,
    next_offset bigint not null,
    topic_id text,
    updated_at timestamptz not null default now(),

    primary key (topic, partition),
    constraint partition_is_not_negative check (partition >= 0),
    constraint next_offset_is_not_negative check (next_offset >= 0)
);

comment on table kafka_offsets is 'The truth about what is recorded: everything below next_offset is.';
comment on column kafka_offsets.topic is 'Topic.';
comment on column kafka_offsets.partition is 'Partition of the topic.';
comment on column kafka_offsets.next_offset is 'Offset of the first message that is not recorded yet. Moved only from the value a drain read before: a drain that was overtaken changes nothing.';
comment on column kafka_offsets.topic_id is 'Kafka''s id of the topic, as its tools print it: a topic deleted and made again has the same name and another id. Null while no client that knows it has drained the partition.';
comment on column kafka_offsets.updated_at is 'When it was moved.';

create table dead_letters (
    id bigint generated always as identity primary key,
    topic text,
    partition integer,
    message_offset bigint,
    key bytea,
    value bytea,
    headers jsonb not null default '[]',
    message_timestamp timestamptz,
    reason text not null,
    recorded_at timestamptz not null default now(),

    constraint from_kafka_or_from_a_pipe check ((topic is null) = (partition is null))
);

comment on table dead_letters is 'Messages that could not be read or stored, as they came, for a person to look at.';
comment on column dead_letters.id is 'Order of recording.';
comment on column dead_letters.topic is 'Topic; null for a line read from standard input.';
comment on column dead_letters.partition is 'Partition; null for a line read from standard input.';
comment on column dead_letters.message_offset is 'Offset in the partition, or number of the line (from 1).';
comment on column dead_letters.key is 'The message''s key; null when it had none.';
comment on column dead_letters.value is 'The message''s value; null when it had none.';
comment on column dead_letters.headers is 'The message''s headers: a list of [name, value in hexadecimal or null].';
comment on column dead_letters.message_timestamp is 'The message''s own time; null when it had none.';
comment on column dead_letters.reason is 'What was wrong with it.';
comment on column dead_letters.recorded_at is 'When drain met it.';

create table kafka_losses (
    id bigint generated always as identity primary key,
    topic text not null,
    partition integer not null,
    from_offset bigint not null,
    to_offset bigint not null,
    reason text not null,
    recorded_at timestamptz not null default now(),

    constraint a_loss_is_not_negative check (from_offset >= 0 and to_offset >= 0)
);

comment on table kafka_losses is 'Offsets that were passed over without being recorded: Kafka no longer had them.';
comment on column kafka_losses.id is 'Order of recording.';
comment on column kafka_losses.topic is 'Topic.';
comment on column kafka_losses.partition is 'Partition of the topic.';
comment on column kafka_losses.from_offset is 'Where recording had got to.';
comment on column kafka_losses.to_offset is 'Where it went on.';
comment on column kafka_losses.reason is 'What had happened.';
comment on column kafka_losses.recorded_at is 'When drain met it.';
