-- claims_held: read the claims of running jobs.
-- Inputs: ?1 the ids as a JSON list.
-- Result: id, claim.
SELECT id, claim
FROM mainspring_job
WHERE id IN (SELECT value FROM json_each(?1)) AND state = 2
