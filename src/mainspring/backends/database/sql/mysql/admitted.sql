-- admit: find out how far jobs are that limits have admitted.
-- Inputs: the ids.
-- Result: id, state, last_attempted_at.
SELECT id, state, last_attempted_at FROM mainspring_job FORCE INDEX (PRIMARY) WHERE id IN %s
