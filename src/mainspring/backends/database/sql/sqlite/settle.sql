-- settle: write one outcome, if its claim still holds.
-- Inputs: the columns of an outcome: ?1 id, ?2 claim, ?3 state, ?4 available_at, ?5 started_at,
--   ?6 last_attempted_at, ?7 finished_at, ?8 worker_ids, ?9 errors, ?10 return_value.
-- Result: the row count tells whether the claim held.
UPDATE mainspring_job
SET state = ?3, claim = NULL, available_at = ?4, started_at = ?5, last_attempted_at = ?6,
    finished_at = ?7, worker_ids = ?8, errors = ?9, return_value = ?10
WHERE id = ?1 AND claim = ?2 AND state = 2
