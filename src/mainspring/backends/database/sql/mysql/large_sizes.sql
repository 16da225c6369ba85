-- claim: read the sizes of the arguments and the metadata of large jobs.
-- Inputs: the ids.
-- Result: id, bytes.
SELECT id, octet_length(arguments) + COALESCE(octet_length(metadata), 0)
FROM mainspring_job PARTITION (live) FORCE INDEX (PRIMARY)
WHERE id IN %s
