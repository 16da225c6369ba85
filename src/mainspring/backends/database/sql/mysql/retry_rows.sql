-- retry_failed: have rows run again; those with limits, wait for these.
-- Inputs: the ids as a JSON list, now.
UPDATE JSON_TABLE(
    %s, '$[*]' COLUMNS (id char(32) CHARACTER SET ascii PATH '$')
) AS failed
STRAIGHT_JOIN mainspring_job AS job FORCE INDEX (PRIMARY)
    ON job.id = failed.id COLLATE ascii_bin AND job.state IN (4, 5)
SET job.state = IF(job.limit_group IS NULL, 1, -1), job.claim = NULL, job.available_at = %s,
    job.finished_at = NULL
