-- vacuum: count the live and the dead rows of the live table.
-- Result: live, dead.
SELECT n_live_tup, n_dead_tup
FROM pg_stat_user_tables
WHERE relid = 'mainspring_job_live'::regclass
