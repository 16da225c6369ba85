-- enqueue, stage: have jobs wait for their limits, in the transaction that has stored them.
-- Inputs: -1 for the newest first, 1 for the oldest; the ids as a JSON list.
INSERT INTO mainspring_held (id, backend, limit_group, level, place, available_at)
SELECT
    job.id, job.backend, job.limit_group, -job.priority, %s * job.available_at, job.available_at
FROM JSON_TABLE(
    %s, '$[*]' COLUMNS (id char(32) CHARACTER SET ascii PATH '$')
) AS new
STRAIGHT_JOIN mainspring_job PARTITION (live) AS job FORCE INDEX (PRIMARY)
    ON job.id = new.id COLLATE ascii_bin AND job.state = -1
ON DUPLICATE KEY UPDATE id = job.id
