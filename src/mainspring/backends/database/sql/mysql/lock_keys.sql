-- enqueue_unique: add a row for each key if missing, and lock it.
-- Inputs: a JSON list of lists: key, job_id, expires_at.
-- Not INSERT IGNORE: it locks existing rows for reading only, so that two transactions would deadlock.
INSERT INTO mainspring_unique (`key`, job_id, expires_at)
SELECT given.id, given.job_id, given.expires_at
FROM JSON_TABLE(
    %s, '$[*]' COLUMNS (
        id char(64) CHARACTER SET ascii PATH '$[0]',
        job_id char(32) CHARACTER SET ascii PATH '$[1]',
        expires_at bigint PATH '$[2]'
    )
) AS given
ON DUPLICATE KEY UPDATE job_id = mainspring_unique.job_id
