-- release_unanswered: list the jobs of claims whose answers were lost.
-- Inputs: ?1 the claims as a JSON list.
-- Result: id, claim, available_at.
SELECT id, claim, available_at
FROM mainspring_job
WHERE state = 2 AND claim IN (SELECT value FROM json_each(?1))
