-- enqueue_unique: have keys that are locked stand for other jobs.
-- Inputs: a JSON list of lists: key, job_id, expires_at.
UPDATE JSON_TABLE(
    %s, '$[*]' COLUMNS (
        id char(64) CHARACTER SET ascii PATH '$[0]',
        job_id char(32) CHARACTER SET ascii PATH '$[1]',
        expires_at bigint PATH '$[2]'
    )
) AS given
STRAIGHT_JOIN mainspring_unique AS held FORCE INDEX (PRIMARY)
    ON held.`key` = given.id COLLATE ascii_bin
SET held.job_id = given.job_id, held.expires_at = given.expires_at
