-- claim: read the sizes of the arguments and the metadata of large jobs.
-- Inputs: $1 the ids as an array.
-- Result: id, bytes.
SELECT id, octet_length(arguments) + COALESCE(octet_length(metadata), 0)
FROM mainspring_job_live
WHERE id = ANY ($1::text[])
