-- save_metadata: write the metadata of one claimed job, if its claim still holds.
-- Inputs: the metadata, the id, the claim.
-- Result: the row count tells whether the claim held.
UPDATE mainspring_job PARTITION (live)
SET metadata = %s
WHERE id = %s AND claim = %s AND state = 2
