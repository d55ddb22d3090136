-- What failed checks received, for whom it is kept (CHECK_CAPTURE): large, private perhaps, and soon
-- of no more use. So it is apart from the checks, with roles and a retention of its own.

create table evidence (
    checked_at timestamptz not null,
    website_id integer not null references websites (id) on delete cascade,
    location_id smallint not null references locations (id) on delete cascade,
    received text not null,

    -- Time first: what is old is found without another index.
    primary key (checked_at, website_id, location_id)
);

create index evidence_website_id_index on evidence (website_id, checked_at);

comment on table evidence is 'The last response of checks that failed: status line, headers and, after an empty line, the beginning of the body. Kept for MAINTAIN_KEEP_EVIDENCE.';
comment on column evidence.checked_at is 'With site and location the key of the check in checks.';
comment on column evidence.website_id is 'The site: websites.id.';
comment on column evidence.location_id is 'Where the probe ran: locations.id.';
comment on column evidence.received is 'The response, without cookies and known secrets.';

create function forget_evidence(keep_days integer, max_rows integer) returns integer
language plpgsql
security definer
set search_path from current
as $$
declare
    today date := (select judge_clock.today from judge_clock());
    forgotten integer;
begin
    if today is null or coalesce(keep_days, 0) < 1 then
        raise exception 'no evidence is older than it is kept'
            using errcode = 'check_violation',
                detail = case when today is null then 'the clock is in doubt' else 'kept for less than a day' end;
    end if;
    delete from evidence
    where (checked_at, website_id, location_id) in (
        select old.checked_at, old.website_id, old.location_id
        from evidence as old
        where old.checked_at < (today - keep_days)::timestamp at time zone 'UTC'
        order by old.checked_at
        limit max_rows
    );
    get diagnostics forgotten = row_count;
    return forgotten;
end
$$;

comment on function forget_evidence(integer, integer) is 'Removes evidence of checks older than so many days, as judge_clock() has it, the oldest max_rows of it; returns how much.';

revoke execute on function forget_evidence(integer, integer) from public;

do $$
declare
    granted record;
begin
    -- As in V9: pg_temp is searched last.
    execute format('alter function forget_evidence(integer, integer) set search_path = %I, pg_temp', current_schema());
    -- Whoever records checks records these, and whoever removes old dead letters removes these.
    for granted in
        select distinct acl.grantee::regrole as role
        from pg_class
        cross join lateral aclexplode(relacl) as acl
        where pg_class.oid = 'checks'::regclass
            and acl.privilege_type = 'INSERT'
            and acl.grantee not in (0, relowner)
    loop
        execute format('grant insert on evidence to %s', granted.role);
    end loop;
    for granted in
        select distinct acl.grantee::regrole as role
        from pg_proc
        cross join lateral aclexplode(proacl) as acl
        where pg_proc.oid = 'forget_dead_letters(integer, integer)'::regprocedure
            and acl.grantee not in (0, proowner)
    loop
        execute format('grant execute on function forget_evidence(integer, integer) to %s', granted.role);
    end loop;
end
$$;
