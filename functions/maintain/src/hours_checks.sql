-- $1 the hour, $2 the first website of the portion, $3 the one after its last.
select website_id, location_id, checked_at, scheduled_at, interval_ms, outcome, up, maintenance,
    status is not null, total_us, dns_us, connect_us, tls_us, first_byte_us, body_us
from checks
where checked_at >= $1 and checked_at < $1 + interval '1 hour'
    and website_id >= $2 and website_id < $3
