-- wake: find out whether any job is ready or soon due, and which held job is the newest.
-- Inputs: $1 the backend, $2 the last due time to search for.
-- Result: whether any is; the id of the newest job that waits for limits, of any backend, or NULL.
SELECT
    EXISTS (SELECT FROM mainspring_job_live WHERE state = 1 AND backend = $1)
    OR EXISTS (
        SELECT FROM mainspring_job_live WHERE state = 0 AND backend = $1 AND available_at <= $2
    ),
    (SELECT max(id) FROM mainspring_held)
