-- Functions that run with their owner's rights must find what they name and nothing else. Unless it
-- is listed, pg_temp is searched before everything, so that a role which may make temporary tables
-- could plant a `pg_class` there and have the owner run code of its own.

do $$
declare
    definer regprocedure;
begin
    for definer in
        select oid::regprocedure
        from pg_proc
        where prosecdef
            and pronamespace = quote_ident(current_schema())::regnamespace
            -- The schema may be shared with functions of others.
            and proname in (
                'create_check_partitions',
                'create_rollup_partitions',
                'drop_check_partition',
                'drop_rollup_partitions'
            )
    loop
        execute format('alter function %s set search_path = %I, pg_temp', definer, current_schema());
    end loop;
end
$$;
