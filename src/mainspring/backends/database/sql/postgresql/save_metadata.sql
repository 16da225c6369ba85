-- save_metadata: write the metadata of one claimed job, if its claim still holds.
-- Inputs: $1 the metadata, $2 the id, $3 the claim.
-- Result: the row count tells whether the claim held.
UPDATE mainspring_job_live
SET metadata = $1
WHERE id = $2 AND claim = $3 AND state = 2
