-- claim: read the sizes of the arguments and the metadata of large jobs.
-- Inputs: ?1 the ids as a JSON list.
-- Result: id, bytes.
SELECT id, length(arguments) + COALESCE(length(metadata), 0)
FROM mainspring_job
WHERE id IN (SELECT value FROM json_each(?1))
