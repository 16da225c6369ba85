-- claims_held: read the claims of running jobs.
-- Inputs: $1 the ids.
-- Result: id, claim.
SELECT id, claim
FROM mainspring_job_live
WHERE id = ANY ($1::text[]) AND state = 2
