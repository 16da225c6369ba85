-- prune: list the keys of jobs that are to be deleted; the transaction has locked the database.
-- Inputs: ?1 the ids as a JSON list.
-- Result: key.
SELECT key FROM mainspring_unique WHERE job_id IN (SELECT value FROM json_each(?1))
