-- $1 the last dead letter read, $2 how many at most, $3 how many bytes fit into memory, $4 the longest
-- value that an event can have.
select id, value
from (
    select id, value, sum(size) over (order by id) - size as before
    from (
        -- An earlier release kept values of any length; what no event can have is not looked at, and
        -- stays.
        select id,
            case when octet_length(value) <= $4 then value end as value,
            case when octet_length(value) <= $4 then octet_length(value) else 0 end as size
        from dead_letters
        where id > $1
        order by id
        limit $2
    ) as following
) as following
where before < $3
order by id
