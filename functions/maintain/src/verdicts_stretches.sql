-- $1 the sites, $2 the first hour, $3 the end of the last.
insert into verdicts_hourly (
    hour, website_id, started_at, verdict, turned, failures, first_failed_at, last_failed_at, outcome, error, locations
)
select
    hour, website_id, started_at, verdict, turned, failures, first_failed_at, last_failed_at, outcome, error, locations
from find_verdicts($1, $2, $3)
order by website_id, started_at
