-- A site that too few locations find down is told of as degraded. It is one incident with the outage
-- that it may become, or come from: what is over is over once the site is up.

alter table notified_incidents add column is_down boolean not null default true;
alter table notified_incidents alter column is_down drop default;

comment on column notified_incidents.is_down is 'Whether the site was down in the latest of its outages; false: degraded all the time.';
comment on column notified_incidents.kind is '''availability'': down or degraded; ''certificate'': expires soon; ''monitoring'': not checked any more.';

alter table notifications
    drop constraint event_is_known,
    add constraint event_is_known check (event in (
        'down', 'degraded', 'up', 'certificate', 'certificate_renewed', 'monitoring_stopped', 'resumed',
        'reminder', 'acknowledged'
    ));
