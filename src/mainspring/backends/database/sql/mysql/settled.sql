-- settle: read back what tells an outcome, where some claims were lost.
-- Inputs: the ids as a JSON list.
-- Result: id, state, available_at, last_attempted_at, worker_ids of those that are not claimed.
SELECT job.id, job.state, job.available_at, job.last_attempted_at, job.worker_ids
FROM JSON_TABLE(
    %s, '$[*]' COLUMNS (id char(32) CHARACTER SET ascii PATH '$')
) AS wanted
STRAIGHT_JOIN mainspring_job AS job ON job.id = wanted.id COLLATE ascii_bin
WHERE job.claim IS NULL
