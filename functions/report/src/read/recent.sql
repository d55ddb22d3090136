-- $1 the newest check, $2 the stretch in seconds, $3 the most lines, $4 the websites or null,
-- $5 the states or null, $6 nothing before this.
select checks.checked_at, websites.name, websites.url, locations.name, checks.up,
    outcomes.word, checks.status, checks.body_match, checks.dns_us, checks.connect_us,
    checks.tls_us, checks.first_byte_us, checks.body_us, checks.total_us,
    checks.local_wait_us, checks.body_bytes, checks.redirects, checks.attempts,
    checks.remote_addr, checks.error, checks.maintenance, null::text
from checks
join websites on websites.id = checks.website_id
join locations on locations.id = checks.location_id
join outcomes on outcomes.code = checks.outcome
where checks.checked_at > greatest($1 - make_interval(secs => $2), $6) and checks.checked_at <= $1
    and ($4::int4[] is null or checks.website_id = any ($4))
    and (
        $5::text[] is null
        or case when checks.up then 'up' when not checks.up then 'down' else 'unknown' end = any ($5)
    )
order by checks.checked_at desc, websites.name
limit $3
