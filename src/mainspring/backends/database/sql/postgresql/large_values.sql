-- claim: read the arguments and the metadata of large jobs.
-- Inputs: $1 the ids as an array.
-- Result: id, arguments, metadata.
SELECT id, arguments, metadata
FROM mainspring_job_live
WHERE id = ANY ($1::text[])
