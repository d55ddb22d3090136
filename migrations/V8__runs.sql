-- How the functions' runs went, for whoever asks whether the monitoring itself works. Written at
-- the end of a run by the functions that write to the database. A run that could not reach it, or
-- that a signal ended, leaves no trace here, which is why started_at says how old the news is.

create table function_runs (
    function text primary key,
    started_at timestamptz not null,
    duration_ms bigint not null,
    exit_code smallint not null,
    figures jsonb not null default '{}',

    constraint a_run_takes_time check (duration_ms >= 0),
    constraint exit_code_is_one check (exit_code between 0 and 255),
    constraint figures_is_an_object check (jsonb_typeof(figures) = 'object')
)
-- Each run rewrites its row.
with (fillfactor = 50);

comment on table function_runs is 'The last run of each function that ended with the database in reach.';
comment on column function_runs.function is 'The function.';
comment on column function_runs.started_at is 'When the run began.';
comment on column function_runs.duration_ms is 'Milliseconds that it took.';
comment on column function_runs.exit_code is 'How it ended, as the scheduler saw it.';
comment on column function_runs.figures is 'What it did, name to number, as in its last log line.';
