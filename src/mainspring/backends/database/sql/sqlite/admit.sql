-- admit: make jobs ready that were chosen in the same transaction.
-- Inputs: ?1 the ids as a JSON list.
UPDATE mainspring_job
SET state = 1
WHERE id IN (SELECT value FROM json_each(?1)) AND state = -1
