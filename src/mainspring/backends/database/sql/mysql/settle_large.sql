-- settle: write one outcome that is large, if its claim holds.
-- Inputs: state, available_at, started_at, last_attempted_at, finished_at, then in base64
--   worker_ids, errors, return_value, then the id, the claim.
-- Result: the row count tells whether the claim held.
UPDATE mainspring_job
SET state = %s, claim = NULL, available_at = %s, started_at = %s, last_attempted_at = %s,
    finished_at = %s, worker_ids = FROM_BASE64(%s), errors = FROM_BASE64(%s),
    return_value = FROM_BASE64(%s)
WHERE id = %s AND claim = %s AND state = 2
