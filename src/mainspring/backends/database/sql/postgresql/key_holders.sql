-- prune: list those of some jobs that keys stand for.
-- Inputs: $1 the ids as an array.
-- Result: job_id.
SELECT job_id FROM mainspring_unique WHERE job_id = ANY ($1::text[])
