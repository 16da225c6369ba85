-- claim: take jobs that were chosen in the same transaction.
-- Inputs: ?1 the claim, ?2 the ids as a JSON list.
-- Result: what of each job is not known already, in no particular order.
UPDATE mainspring_job
SET state = 2, claim = ?1
WHERE id IN (SELECT value FROM json_each(?2)) AND state = 1
RETURNING
    priority, available_at, id, task_path, queue_name, arguments, run_after, enqueued_at,
    options, metadata, limit_group, started_at, last_attempted_at, worker_ids, errors
