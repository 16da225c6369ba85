-- prune: look at the next results, by age, that may have finished long enough ago.
-- Inputs: $1 the id after which to look, $2 the id before which to look, $3 how many.
-- Result: id, backend, state, finished_at, by id.
SELECT id, backend, state, finished_at
FROM mainspring_job_finished
WHERE id > $1 AND id < $2
ORDER BY id
LIMIT $3
