-- claims_held: read the claims of running jobs.
-- Inputs: the ids as a JSON list.
-- Result: id, claim.
SELECT job.id, job.claim
FROM JSON_TABLE(
    %s, '$[*]' COLUMNS (id char(32) CHARACTER SET ascii PATH '$')
) AS wanted
STRAIGHT_JOIN mainspring_job PARTITION (live) AS job ON job.id = wanted.id COLLATE ascii_bin
WHERE job.state = 2
