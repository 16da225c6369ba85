-- admit: find out how far jobs are that limits have admitted.
-- Inputs: $1 the ids.
-- Result: id, state, last_attempted_at.
SELECT id, state, last_attempted_at FROM mainspring_job WHERE id = ANY ($1::text[])
