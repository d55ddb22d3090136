-- What nobody took is found without reading all that was ever told: by `report`, and by people.

create index notifications_not_sent_index on notifications (id) where sent_at is null;

-- Whoever reads the rollups reads what was not told: the names of channels, never their addresses.
do $$
declare
    granted record;
begin
    for granted in
        select distinct acl.grantee::regrole as role
        from pg_class
        cross join lateral aclexplode(relacl) as acl
        where pg_class.oid = 'outages_hourly'::regclass
            and acl.privilege_type = 'SELECT'
            and acl.grantee not in (0, relowner)
    loop
        execute format('grant select (id, website_id) on notified_incidents to %s', granted.role);
        execute format(
            'grant select (incident_id, message, id, decided_at, next_attempt_at, sent_at, given_up_at, attempts, event, channel, error) on notifications to %s',
            granted.role
        );
    end loop;
end
$$;
