-- vacuum: look how many rows of the live table are live, and how many have been.
-- Result: live, dead.
SELECT n_live_tup, n_dead_tup
FROM pg_stat_user_tables
WHERE relid = 'mainspring_job_live'::regclass
