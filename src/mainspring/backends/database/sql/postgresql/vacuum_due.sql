-- vacuum: look whether settled jobs have left much in the live table.
-- Inputs: $1 the share of live rows, and $2 the number of rows, that dead ones are to exceed.
-- Result: one row if they do.
SELECT 1
FROM pg_stat_user_tables
WHERE relid = 'mainspring_job_live'::regclass
    AND n_dead_tup > n_live_tup * $1::float8 + $2::bigint
