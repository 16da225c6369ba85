-- rescue: find claims of workers that are not registered.
-- Inputs: the backend.
-- Result: the tokens, the upper halves of the claims.
SELECT DISTINCT claim >> 32
FROM mainspring_job PARTITION (live) FORCE INDEX (mainspring_job_available)
WHERE state = 2 AND backend = %s
    AND claim >> 32 NOT IN (SELECT token FROM mainspring_worker)
