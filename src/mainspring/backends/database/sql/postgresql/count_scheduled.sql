-- stats: count the deferred jobs.
-- Inputs (%s, as it runs on the caller's connection): the backend.
SELECT count(*) FROM mainspring_job_live WHERE state = 0 AND backend = %s
