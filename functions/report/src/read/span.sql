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
    day, hour
from trailing_ends
