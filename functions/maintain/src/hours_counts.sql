-- $1 the hour, $2 the first website of the portion, $3 the one after its last.
insert into checks_hourly (
    hour, website_id, location_id, checks, up, down, unknown, maintenance, outcomes,
    first_at, last_at, first_known_at, last_known_at, slots, duplicates, covered_ms
)
select $1, counts.*, covered.slots, covered.duplicates, covered.covered_ms
from (
    select website_id, location_id,
        sum(counted),
        coalesce(sum(counted) filter (where up and not maintenance), 0),
        coalesce(sum(counted) filter (where not up and not maintenance), 0),
        coalesce(sum(counted) filter (where up is null and not maintenance), 0),
        coalesce(sum(counted) filter (where maintenance), 0),
        coalesce(
            array_agg(histogram_element(outcome, counted) order by outcome) filter (where not maintenance),
            '{}'
        ),
        min(first_at),
        max(last_at),
        min(first_at) filter (where up is not null and not maintenance),
        max(last_at) filter (where up is not null and not maintenance)
    from (
        select website_id, location_id, outcome, up, maintenance,
            count(*) as counted, min(checked_at) as first_at, max(checked_at) as last_at
        from checks
        where checked_at >= $1 and checked_at < $1 + interval '1 hour'
            and website_id >= $2 and website_id < $3
        group by website_id, location_id, outcome, up, maintenance
    ) as by_outcome
    group by website_id, location_id
) as counts
left join (
    select website_id, location_id,
        count(*) filter (where known > 0) as slots,
        sum(greatest(known - 1, 0)) as duplicates,
        coalesce(sum(interval_ms) filter (where known > 0), 0) as covered_ms
    from (
        -- Of a check that could not be made nothing is known: it covers nothing.
        select website_id, location_id, scheduled_at,
            count(*) filter (where up is not null) as known, max(interval_ms) as interval_ms
        from checks
        where checked_at >= $1 and checked_at < $1 + interval '1 hour'
            and website_id >= $2 and website_id < $3
            and scheduled_at is not null
        group by website_id, location_id, scheduled_at
    ) as by_slot
    group by website_id, location_id
) as covered using (website_id, location_id)
order by website_id, location_id
