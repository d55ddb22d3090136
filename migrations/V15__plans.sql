-- It gives one row. PostgreSQL expected a thousand for each site, held any query of current_states
-- for a long one, and compiled it (JIT): most of a second, for what takes milliseconds.
alter function newest_check_until(timestamptz, integer, smallint) rows 1;
