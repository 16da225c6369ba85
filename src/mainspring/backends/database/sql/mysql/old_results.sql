-- prune: look at the next results, by age, that may have finished long enough ago.
-- Inputs: the id after which to look, the id before which to look, how many.
-- Result: id, backend, state, finished_at, by id.
SELECT id, backend, state, finished_at
FROM mainspring_job PARTITION (finished) FORCE INDEX (PRIMARY)
WHERE id > %s AND id < %s
ORDER BY id
LIMIT %s
