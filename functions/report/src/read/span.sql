select now(), fresh_hours(),
    array(
        select day
        from (
            select day from dirty_days
            union
            select (hour at time zone 'UTC')::date from unnest(fresh_hours()) as hour
        ) as changed
        where day >= (now() at time zone 'UTC')::date - 90 and day < (now() at time zone 'UTC')::date
    ),
    (
        select count(distinct hour) from dirty_hours
        where hour < date_trunc('hour', now(), 'UTC') - interval '25 hours'
    ),
    day, hour, summed.of_hour, summed.until
from trailing_ends
left join (
    select hour as of_hour, max(summed_to) as until
    from dirty_hours
    group by hour
    having max(summed_to) <= min(coalesce(checked_from, hour))
) as summed on true
