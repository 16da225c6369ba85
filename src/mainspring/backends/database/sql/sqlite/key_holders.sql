-- prune: list those of some jobs that keys stand for.
-- Inputs: ?1 the ids as a JSON list.
-- Result: job_id.
SELECT job_id FROM mainspring_unique WHERE job_id IN (SELECT value FROM json_each(?1))
