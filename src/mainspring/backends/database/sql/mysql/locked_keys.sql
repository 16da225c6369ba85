-- enqueue_unique: read keys that were locked in the same transaction.
-- Inputs: a JSON list of lists: key, job_id, expires_at.
-- Result: key, job_id, expires_at, as they are.
SELECT held.`key`, held.job_id, held.expires_at
FROM JSON_TABLE(
    %s, '$[*]' COLUMNS (
        id char(64) CHARACTER SET ascii PATH '$[0]',
        job_id char(32) CHARACTER SET ascii PATH '$[1]',
        expires_at bigint PATH '$[2]'
    )
) AS given
STRAIGHT_JOIN mainspring_unique AS held FORCE INDEX (PRIMARY)
    ON held.`key` = given.id COLLATE ascii_bin
FOR UPDATE
