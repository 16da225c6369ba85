-- settle: read back what tells an outcome, where some claims were lost.
-- Inputs: ?1 the ids as a JSON list.
-- Result: id, state, available_at, last_attempted_at, worker_ids of those that are not claimed.
SELECT id, state, available_at, last_attempted_at, worker_ids
FROM mainspring_job
WHERE id IN (SELECT value FROM json_each(?1)) AND claim IS NULL
