-- rescue: find claims of workers that are not registered.
-- Inputs: $1 the backend.
-- Result: the tokens, the upper halves of the claims.
SELECT DISTINCT claim >> 32
FROM mainspring_job_live
WHERE state = 2 AND backend = $1
    AND NOT EXISTS (SELECT FROM mainspring_worker WHERE token = claim >> 32)
