-- claim: take jobs that were chosen in the same transaction.
-- Inputs: ?1 the claim, ?2 the ids as a JSON list.
-- Result: the columns of each job that are not known already, in no particular order.
-- Leaves out metadata longer than 131072 bytes, and arguments if either is longer; see large_jobs.py.
UPDATE mainspring_job
SET state = 2, claim = ?1
WHERE id IN (SELECT value FROM json_each(?2)) AND state = 1
RETURNING
    priority, available_at, id, task_path, queue_name,
    CASE
        WHEN length(arguments) <= 131072 AND COALESCE(length(metadata), 0) <= 131072
        THEN arguments
    END,
    run_after, enqueued_at, options,
    CASE WHEN length(metadata) <= 131072 THEN metadata END,
    limit_group, started_at, last_attempted_at, worker_ids, errors
