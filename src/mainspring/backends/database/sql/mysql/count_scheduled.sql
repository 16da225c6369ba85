-- stats: count the deferred jobs.
-- Inputs: the backend.
SELECT count(*)
FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
WHERE state = 0 AND backend = %s
