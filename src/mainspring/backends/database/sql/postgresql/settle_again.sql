-- settle: write outcomes that settle has missed, if their claims hold.
-- Inputs: $1 to $10, an array for each column of an outcome.
-- Result: the ids of those whose claims held.
-- Joins by id, because a concurrent update gives a row another ctid, and settle does not find it. The
-- server compares the id and the claim again in the new version of the row.
UPDATE mainspring_job AS job
SET state = outcome.state, claim = NULL, available_at = outcome.available_at,
    started_at = outcome.started_at, last_attempted_at = outcome.last_attempted_at,
    finished_at = outcome.finished_at, worker_ids = outcome.worker_ids,
    errors = outcome.errors, return_value = outcome.return_value
FROM unnest(
    $1::text[], $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[],
    $7::bigint[], $8::bytea[], $9::bytea[], $10::bytea[]
) AS outcome (
    id, claim, state, available_at, started_at, last_attempted_at, finished_at, worker_ids,
    errors, return_value
)
WHERE job.id = outcome.id COLLATE "C" AND job.claim = outcome.claim AND job.state = 2
RETURNING job.id
