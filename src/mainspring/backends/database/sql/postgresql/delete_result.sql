-- prune: delete one finished job.
-- Inputs: $1 the id.
DELETE FROM mainspring_job_finished WHERE id = $1
