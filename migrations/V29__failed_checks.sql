-- One check in a thousand fails. To find the ones that did, all checks of a site were read, and from its first
-- failure on evaluated. An index has those that failed; of the others those are read that tell what became of
-- a failure, and where failures are far apart, nothing in between.
--
-- The index is made for all partitions at once, which takes a lock that keeps drains from recording: 2.8 s for
-- 36 million checks. What they would have recorded waits in Kafka. Recording a million checks takes as long
-- with the index as without.

create index checks_failed_index on checks (website_id, checked_at, location_id) where not up and not maintenance;

create or replace function evaluate_checks(sites integer[], from_hour timestamptz, to_time timestamptz)
returns table (
    website_id integer,
    location_id smallint,
    position_in_pair bigint,
    is_check boolean,
    checked_at timestamptz,
    up boolean,
    location_up boolean,
    turned boolean,
    failing_since timestamptz,
    failing_outcome smallint,
    failing_error text,
    valid_until timestamptz,
    verdict text,
    verdict_turned boolean
)
language sql stable
-- How many checks there will be cannot be foreseen: a plan for few would compare all with all. Nor is
-- there anything to be compiled that runs for long.
set enable_nestloop = off
set jit = off
as $$
    with rules as materialized (
        select
            id, confirm_failures, confirm_checks::integer, recover_checks::integer,
            greatest(confirm_checks, recover_checks) - 1 as kept, agree,
            reporting_limit(check_interval) as valid_for
        from websites
        where id = any (sites)
    ),
    -- What the hours before left of each location. No row: up, once it has been known.
    carried as materialized (
        select
            pair.website_id, pair.location_id, rules.valid_for, rules.kept, rules.recover_checks, pair.first_known_at,
            case when before.hour is not null then before.up when pair.first_known_at < from_hour then true end as up,
            coalesce(before.results, '{}') as results,
            before.failing_since, before.failing_outcome, before.failing_error,
            (
                select max(coalesce(counted.last_known_at, counted.last_at))
                from generate_series(
                    date_trunc('hour', from_hour - rules.valid_for, 'UTC'), from_hour - interval '1 hour', interval '1 hour'
                ) as past (hour)
                cross join lateral (
                    select one.last_known_at, one.last_at
                    from checks_hourly as one
                    where one.hour = past.hour and one.website_id = pair.website_id
                        and one.location_id = pair.location_id and one.up + one.down > 0
                    offset 0
                ) as counted
            ) as known_at
        from rules
        join website_states as pair on pair.website_id = rules.id
        left join lateral (
            select state.*
            from location_states_hourly as state
            where state.website_id = pair.website_id and state.location_id = pair.location_id
                and state.hour < from_hour
            order by state.hour desc
            limit 1
        ) as before on true
    ),
    -- And what is not over when the hour begins.
    troubles as (
        select rules.id as website_id, failed.location_id, failed.at, false as is_carried
        from rules
        cross join lateral (
            select one.location_id, one.checked_at as at
            from checks as one
            where one.website_id = rules.id and one.checked_at >= from_hour and one.checked_at < to_time
                and not one.up and not one.maintenance
            offset 0
        ) as failed
        union all
        select carried.website_id, carried.location_id, from_hour, true
        from carried
        where carried.failing_since is not null or carried.up is false
            or carried.up is null and carried.recover_checks > 1
    ),
    -- Most of a site's checks have nothing to tell. Until the first failure it is up, and so it is
    -- once each location that failed has been seen up as often as is remembered, until the next one.
    compared as (
        select troubles.*, at > lag(at) over (partition by website_id order by at) + rules.valid_for as is_apart
        from troubles
        join rules on rules.id = troubles.website_id
    ),
    numbered as (
        select compared.*, count(*) filter (where is_apart) over (partition by website_id order by at) as number
        from compared
    ),
    grouped as materialized (
        select website_id, location_id, number, min(at) as first_at, max(at) as last_at, bool_or(is_carried) as is_carried
        from numbered
        group by website_id, location_id, number
    ),
    spans as materialized (
        select
            grouped.website_id,
            min(grouped.first_at) - case when bool_or(grouped.is_carried) then interval '0' else min(rules.valid_for) end as from_at,
            min(grouped.first_at) as first_at,
            case when bool_and(settled.at is not null) then max(settled.at) else 'infinity' end as to_at
        from grouped
        join rules on rules.id = grouped.website_id
        left join lateral (
            select one.checked_at as at
            from checks as one
            where one.website_id = grouped.website_id and one.location_id = grouped.location_id
                and one.checked_at > grouped.last_at and one.checked_at < to_time
                and one.up is not null and not one.maintenance
            order by one.checked_at
            offset rules.kept
            limit 1
        ) as settled on true
        group by grouped.website_id, grouped.number
    ),
    preceding as materialized (
        select carried.website_id, carried.location_id, newest.at, newest.up
        from spans
        join carried on carried.website_id = spans.website_id
        cross join lateral (
            select one.checked_at as at, one.up
            from checks as one
            where one.website_id = carried.website_id and one.location_id = carried.location_id
                and one.checked_at >= greatest(spans.from_at, from_hour) and one.checked_at < spans.first_at
                and one.up is not null and not one.maintenance
            order by one.checked_at desc
            limit 1
        ) as newest
        where spans.from_at < spans.first_at
    ),
    sequence as (
        select
            carried.website_id, carried.location_id, '-infinity'::timestamptz as at, past.ordinality as place,
            past.up, false as is_check
        from carried
        cross join lateral unnest(carried.results) with ordinality as past (up, ordinality)
        union
        select spans.website_id, known.location_id, known.checked_at, 0, known.up, true
        from spans
        cross join lateral (
            select one.location_id, one.checked_at, one.up
            from checks as one
            where one.website_id = spans.website_id
                and one.checked_at >= greatest(spans.first_at, from_hour) and one.checked_at < to_time
                and one.checked_at <= spans.to_at
                and one.up is not null and not one.maintenance
            offset 0
        ) as known
        union
        select preceding.website_id, preceding.location_id, preceding.at, 0, preceding.up, true
        from preceding
    ),
    counted as (
        select
            sequence.*, rules.confirm_failures, rules.confirm_checks, rules.recover_checks, rules.kept, rules.valid_for,
            row_number() over of_pair as position,
            count(*) filter (where not sequence.up) over of_pair as failures
        from sequence
        join rules on rules.id = sequence.website_id
        window of_pair as (
            partition by sequence.website_id, sequence.location_id order by sequence.at, sequence.place
            rows unbounded preceding
        )
    ),
    triggered as (
        select
            counted.*,
            case
                when not is_check then null
                when not counted.up
                    and failures - lag(failures, confirm_checks, 0::bigint) over of_pair >= confirm_failures then 0
                when counted.up
                    and position - failures - lag(position - failures, recover_checks, 0::bigint) over of_pair >= recover_checks
                    then 1
            end as trigger,
            failures - lag(failures, kept, 0::bigint) over of_pair as failures_kept,
            coalesce(lag(is_check) over of_pair, false) as follows_check,
            lag(at) over of_pair as before_at,
            lead(at) over of_pair as next_at
        from counted
        window of_pair as (partition by counted.website_id, counted.location_id order by position)
    ),
    -- The last trigger holds; it is found by its position, which a running maximum keeps.
    held as (
        select
            triggered.*,
            max(position * 2 + trigger) over of_pair as last_trigger,
            min(at) filter (where is_check) over of_pair as first_at
        from triggered
        window of_pair as (
            partition by triggered.website_id, triggered.location_id order by position
            rows unbounded preceding
        )
    ),
    located as (
        select
            held.*, was.up as carried_up, carried.known_at as carried_at,
            carried.failing_since as carried_failing_since,
            case when last_trigger is null then was.up else last_trigger % 2 = 1 end as location_up
        from held
        join carried on carried.website_id = held.website_id and carried.location_id = held.location_id
        cross join lateral (
            -- Known before what is looked at.
            select coalesce(
                carried.up,
                carried.recover_checks = 1 and carried.failing_since is null
                    and carried.first_known_at < held.first_at or null
            ) as up
        ) as was
    ),
    cleared as (
        select
            located.*,
            location_up is not false and failures_kept = 0 as is_clear,
            case when follows_check then lag(location_up) over of_pair else carried_up end as before_up,
            coalesce(
                at <= case when follows_check then before_at else carried_at end + valid_for, false
            ) as is_continued
        from located
        window of_pair as (partition by located.website_id, located.location_id order by position)
    ),
    -- Failures belong together until none of them is kept any more.
    begun as (
        select
            cleared.*,
            not cleared.up and case
                when follows_check then lag(is_clear) over of_pair
                else carried_failing_since is null
            end as begins
        from cleared
        window of_pair as (partition by cleared.website_id, cleared.location_id order by position)
    ),
    located_checks as materialized (
        select
            begun.*,
            max(case when begins then position end) over (
                partition by begun.website_id, begun.location_id order by position
                rows unbounded preceding
            ) as failing_position
        from begun
    ),
    causes as (
        select begun.website_id, begun.location_id, begun.position, begun.at, checks.outcome, checks.error
        from located_checks as begun
        cross join lateral (
            select one.outcome, one.error
            from checks as one
            where one.website_id = begun.website_id and one.checked_at = begun.at and one.location_id = begun.location_id
            offset 0
        ) as checks
        where begun.begins
    ),
    -- What a location says counts from its check to its next one, or until it no longer reports.
    moments as (
        select
            one.website_id, one.location_id, one.at, one.position,
            1 - is_continued::integer as reporting,
            (location_up is false)::integer - (is_continued and before_up is false)::integer as down,
            (location_up is true)::integer - (is_continued and before_up is true)::integer as up
        from located_checks as one
        where is_check
        union all
        select
            one.website_id, one.location_id, one.at + one.valid_for + interval '1 microsecond', null,
            -1, -(location_up is false)::integer, -(location_up is true)::integer
        from located_checks as one
        where is_check and coalesce(next_at > one.at + one.valid_for, true)
        union all
        select
            carried.website_id, carried.location_id, edge.at, null,
            edge.sign, edge.sign * (carried.up is false)::integer, edge.sign * (carried.up is true)::integer
        from carried
        left join located_checks as first on first.website_id = carried.website_id
            and first.location_id = carried.location_id and first.is_check and not first.follows_check
        cross join lateral (
            values (carried.known_at, 1), (carried.known_at + carried.valid_for + interval '1 microsecond', -1)
        ) as edge (at, sign)
        where carried.known_at + carried.valid_for >= from_hour
            and (edge.sign = 1 or coalesce(first.at > carried.known_at + carried.valid_for, true))
    ),
    -- Checks of the same instant are judged together: the frame holds all of them.
    summed as (
        select
            moments.website_id, moments.location_id, moments.at, moments.position,
            sum(moments.reporting) over of_site as reporting,
            sum(moments.down) over of_site as down,
            sum(moments.up) over of_site as up
        from moments
        window of_site as (partition by moments.website_id order by moments.at)
    ),
    judged as (
        select
            summed.website_id, summed.location_id, summed.at, summed.position,
            case
                when summed.down = 0 then case when summed.up > 0 then 'up' else 'unknown' end
                when summed.down >= case rules.agree
                    when 'any' then 1
                    when 'majority' then summed.reporting / 2 + 1
                    when 'all' then summed.reporting
                    else least(rules.agree::integer, summed.reporting)
                end then 'down'
                else 'degraded'
            end as verdict
        from summed
        join rules on rules.id = summed.website_id
        where summed.position is not null
    ),
    before_all as materialized (
        select
            rules.id,
            coalesce(
                (
                    select earlier.verdict
                    from verdicts_hourly as earlier
                    where earlier.website_id = rules.id and earlier.hour < from_hour
                    order by earlier.hour desc, earlier.started_at desc
                    limit 1
                ),
                'up'
            ) as verdict
        from rules
    ),
    verdicts as materialized (
        select
            judged.website_id, judged.location_id, judged.position, judged.verdict,
            judged.verdict is distinct from lag(judged.verdict, 1, before_all.verdict) over (
                partition by judged.website_id order by judged.at, judged.location_id
            ) as turned
        from judged
        join before_all on before_all.id = judged.website_id
    )
    select
        one.website_id, one.location_id, one.position, one.is_check, one.at, one.up, one.location_up,
        one.location_up is distinct from one.before_up,
        case when not one.is_clear then coalesce(cause.at, carried.failing_since) end,
        case when not one.is_clear then case when cause.at is null then carried.failing_outcome else cause.outcome end end,
        case when not one.is_clear then case when cause.at is null then carried.failing_error else cause.error end end,
        least(one.next_at - interval '1 microsecond', one.at + one.valid_for),
        verdicts.verdict, verdicts.turned
    from located_checks as one
    join carried on carried.website_id = one.website_id and carried.location_id = one.location_id
    left join causes as cause on cause.website_id = one.website_id and cause.location_id = one.location_id
        and cause.position = one.failing_position
    left join verdicts on verdicts.website_id = one.website_id and verdicts.location_id = one.location_id
        and verdicts.position = one.position
    union all
    select
        carried.website_id, carried.location_id, 0, false, carried.known_at, null, carried.up, false,
        carried.failing_since, carried.failing_outcome, carried.failing_error,
        least(first.at - interval '1 microsecond', carried.known_at + carried.valid_for),
        null, false
    from carried
    left join located_checks as first on first.website_id = carried.website_id
        and first.location_id = carried.location_id and first.is_check and not first.follows_check
$$;
