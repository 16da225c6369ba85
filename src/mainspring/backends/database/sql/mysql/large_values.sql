-- claim: read the arguments and the metadata of large jobs.
-- Inputs: the ids.
-- Result: id, arguments, metadata.
SELECT id, arguments, metadata
FROM mainspring_job PARTITION (live) FORCE INDEX (PRIMARY)
WHERE id IN %s
