-- Of the hour that is not over reports read every check, up to millions. `maintain` adds up, as often as it
-- runs, what is recorded of it by then: a copy of what the checks say, replaced whole.
--
-- What the sums hold is said by a mark in dirty_hours, which takes the place of the marks that were counted.
-- A check that is recorded later brings a mark of its own, and where that begins before the sums end, they
-- do not hold. Whoever rolls up the hour removes its marks, and with them what the sums hold, whether it
-- knows of them or not.

create table running_hour (
    website_id integer not null,
    location_id smallint not null,
    up integer not null,
    down integer not null,
    covered_ms bigint not null,
    total integer[],

    primary key (website_id, location_id)
);

comment on table running_hour is 'Checks of an hour up to a time, added up per site and location. Which hour and until when is said by the row of dirty_hours that has summed_to; nothing holds without one.';
comment on column running_hour.website_id is 'The site: websites.id.';
comment on column running_hour.location_id is 'Where the probe ran: locations.id.';
comment on column running_hour.up is 'Checks that found the site as expected, outside maintenance.';
comment on column running_hour.down is 'Those that did not, outside maintenance.';
comment on column running_hour.covered_ms is 'The time that its checks cover, in milliseconds; slots that were checked twice count twice.';
comment on column running_hour.total is 'A histogram of whole checks, an element for each; null: no answer came. See response_times_hourly.';

alter table dirty_hours
    add column checked_from timestamptz,
    add column summed_to timestamptz,
    add constraint sums_end_where_the_rest_begins check (summed_to is null or checked_from = summed_to);

create unique index dirty_hours_summed_to_index on dirty_hours ((true)) where summed_to is not null;

comment on column dirty_hours.checked_from is 'No check that this row stands for began before; null: the whole hour.';
comment on column dirty_hours.summed_to is 'Of the one row that stands for checks in running_hour: it has those of the hour that began before, as long as no other row of the hour stands for any of them; null: a batch''s row.';

-- Whoever reads or writes the rollups, reads or writes these.
do $$
declare
    granted record;
begin
    for granted in
        select distinct acl.grantee::regrole as role, acl.privilege_type = 'SELECT' as reads
        from pg_class
        cross join lateral aclexplode(relacl) as acl
        where pg_class.oid = 'response_times_hourly'::regclass
            and acl.privilege_type in ('SELECT', 'INSERT')
            and acl.grantee not in (0, relowner)
    loop
        execute format(
            'grant select%s on running_hour to %s', case when granted.reads then '' else ', insert, delete' end, granted.role
        );
        if not granted.reads then
            execute format('grant insert on dirty_hours to %s', granted.role);
        end if;
    end loop;
end
$$;
