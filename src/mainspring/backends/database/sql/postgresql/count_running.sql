-- stats: count the jobs that are claimed.
-- Inputs (%s, as it runs on the caller's connection): the backend.
SELECT count(*) FROM mainspring_job_live WHERE state = 2 AND backend = %s
