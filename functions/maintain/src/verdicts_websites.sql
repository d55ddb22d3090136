-- $1 the sites.
insert into website_verdicts (website_id, hour, verdict, since)
select site.website_id, newest.hour, newest.verdict, turned.at
from unnest($1::integer[]) as site (website_id)
cross join lateral (
    select stored.hour, stored.verdict
    from verdicts_hourly as stored
    where stored.website_id = site.website_id
    order by stored.hour desc, stored.started_at desc
    limit 1
) as newest
left join lateral (
    select stored.started_at as at
    from verdicts_hourly as stored
    where stored.website_id = site.website_id and stored.turned
    order by stored.hour desc, stored.started_at desc
    limit 1
) as turned on true
on conflict (website_id) do update set
    hour = excluded.hour,
    verdict = excluded.verdict,
    since = coalesce(
        excluded.since,
        case when website_verdicts.verdict = excluded.verdict then website_verdicts.since end
    )
