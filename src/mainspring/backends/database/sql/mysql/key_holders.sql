-- prune: list those of some jobs that keys stand for.
-- Inputs: the ids as a JSON list.
-- Result: job_id.
SELECT held.job_id
FROM JSON_TABLE(
    %s, '$[*]' COLUMNS (id char(32) CHARACTER SET ascii PATH '$')
) AS wanted
STRAIGHT_JOIN mainspring_unique AS held FORCE INDEX (mainspring_unique_job)
    ON held.job_id = wanted.id COLLATE ascii_bin
