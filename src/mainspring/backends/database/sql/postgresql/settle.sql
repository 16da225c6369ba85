-- settle: write outcomes whose claims hold.
-- Inputs: $1 to $10, an array for each column of an outcome.
-- Result: the ids of those whose claims held.
-- OFFSET 0, and no condition on the state, keep the planner from reading the whole table first, where
-- it takes it for empty; what stands at the same place in the other partition has no claim.
WITH found AS MATERIALIZED (
    SELECT job.ctid AS place, outcome.*
    FROM unnest(
        $1::text[], $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[],
        $7::bigint[], $8::bytea[], $9::bytea[], $10::bytea[]
    ) AS outcome (
        id, claim, state, available_at, started_at, last_attempted_at, finished_at, worker_ids,
        errors, return_value
    )
    CROSS JOIN LATERAL (
        SELECT ctid
        FROM mainspring_job_live
        WHERE id = outcome.id COLLATE "C" AND claim = outcome.claim
        OFFSET 0
    ) AS job
)
UPDATE mainspring_job AS job
SET state = found.state, claim = NULL, available_at = found.available_at,
    started_at = found.started_at, last_attempted_at = found.last_attempted_at,
    finished_at = found.finished_at, worker_ids = found.worker_ids,
    errors = found.errors, return_value = found.return_value
FROM found
WHERE job.ctid = found.place AND job.claim = found.claim
RETURNING job.id
