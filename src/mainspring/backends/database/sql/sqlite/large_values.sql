-- claim: read the arguments and the metadata of large jobs.
-- Inputs: ?1 the ids as a JSON list.
-- Result: id, arguments, metadata.
SELECT id, arguments, metadata
FROM mainspring_job
WHERE id IN (SELECT value FROM json_each(?1))
