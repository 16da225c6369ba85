-- settle: read back what tells an outcome, where some claims were lost.
-- Inputs: $1 the ids as an array.
-- Result: id, state, available_at, last_attempted_at, worker_ids of those that are not claimed.
SELECT id, state, available_at, last_attempted_at, worker_ids
FROM mainspring_job
WHERE id = ANY ($1::text[]) AND claim IS NULL
