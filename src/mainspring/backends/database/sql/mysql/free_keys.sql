-- prune: lock the keys of jobs that are to be deleted, except those that others have locked.
-- Inputs: the ids as a JSON list.
-- Result: key.
SELECT held.`key`
FROM JSON_TABLE(
    %s, '$[*]' COLUMNS (id char(32) CHARACTER SET ascii PATH '$')
) AS wanted
STRAIGHT_JOIN mainspring_unique AS held FORCE INDEX (mainspring_unique_job)
    ON held.job_id = wanted.id COLLATE ascii_bin
FOR UPDATE SKIP LOCKED
