-- stats: count the jobs that are claimed.
-- Inputs: the backend.
SELECT count(*)
FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
WHERE state = 2 AND backend = %s
