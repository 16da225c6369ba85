-- rescue: find claims of workers that are not registered.
-- Inputs: ?1 the backend.
-- Result: the tokens, the upper halves of the claims.
SELECT DISTINCT claim >> 32
FROM mainspring_job
WHERE state = 2 AND backend = ?1
    AND claim >> 32 NOT IN (SELECT token FROM mainspring_worker)
