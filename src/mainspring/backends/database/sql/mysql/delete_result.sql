-- prune: delete one finished job.
-- Inputs: the id.
DELETE FROM mainspring_job PARTITION (finished) WHERE id = %s
