-- admit: find out how far jobs are that limits have admitted.
-- Inputs: ?1 the ids as a JSON list.
-- Result: id, state, last_attempted_at.
SELECT id, state, last_attempted_at
FROM mainspring_job
WHERE id IN (SELECT value FROM json_each(?1))
