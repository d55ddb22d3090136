-- $1 today.
insert into trailing_days (
    website_id, location_id, up_7d, up_30d, up_90d, down_7d, down_30d, down_90d,
    covered_ms_7d, covered_ms_30d, covered_ms_90d, days_ago, up, down, covered_ms
)
select
    website_id, location_id,
    coalesce(sum(up) filter (where day >= $1 - 7), 0),
    coalesce(sum(up) filter (where day >= $1 - 30), 0),
    sum(up),
    coalesce(sum(down) filter (where day >= $1 - 7), 0),
    coalesce(sum(down) filter (where day >= $1 - 30), 0),
    sum(down),
    coalesce(sum(covered_ms) filter (where day >= $1 - 7), 0),
    coalesce(sum(covered_ms) filter (where day >= $1 - 30), 0),
    coalesce(sum(covered_ms), 0),
    -- In the order in which the days are read, all of them.
    array_agg($1 - day), array_agg(up), array_agg(down), array_agg(coalesce(covered_ms, 0))
from checks_daily
where day >= $1 - 90 and day < $1
group by website_id, location_id
