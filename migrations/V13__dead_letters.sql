-- What is kept of a message that could not be recorded has limits, and a batch that cannot be read
-- has no message to keep.
comment on table dead_letters is 'Messages that could not be read or stored, for a person to look at: as they came, or as much of them as is kept; the reason says when that is not all.';
comment on column dead_letters.message_offset is 'Offset in the partition, or number of the line (from 1). Of a batch that cannot be read, its first; the reason has the last.';
comment on column dead_letters.key is 'The message''s key, up to 64 KiB of it; null when it had none.';
comment on column dead_letters.value is 'The message''s value, up to 1 MiB of it, which is the most an event has; null when it had none, and for a batch that cannot be read, which stays on the topic.';
comment on column dead_letters.headers is 'The message''s headers, up to 64 KiB of them: a list of [name, value in hexadecimal or null].';
