insert into websites
    (name, url, check_interval, up_regex, enabled, labels, settings)
select name, url, check_interval, up_regex, enabled, labels::jsonb, settings::jsonb
from unnest($1, $2, $3, $4, $5, $6, $7) as new
    (name, url, check_interval, up_regex, enabled, labels, settings)
order by name
on conflict (name) do update set
    url = excluded.url,
    check_interval = excluded.check_interval,
    up_regex = excluded.up_regex,
    enabled = excluded.enabled,
    labels = excluded.labels,
    settings = excluded.settings,
    origin = 'list'
