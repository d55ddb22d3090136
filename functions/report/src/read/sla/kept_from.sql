-- $1 where the period begins, $2 hours that the rollups lack.
select coalesce(
    (
        select oldest.hour
        from (
            select least(
                (select min(hour) from checks_hourly),
                (select min(hour) from unnest($2::timestamptz[]) as hour)
            ) as hour
        ) as oldest
        where exists (
            select from checks_daily
            where day >= ($1 at time zone 'UTC')::date
                and day < (oldest.hour at time zone 'UTC')::date
        )
    ),
    $1
)
