-- prune: delete one finished job.
-- Inputs: ?1 the id.
DELETE FROM mainspring_job WHERE id = ?1 AND state >= 3
