-- settle: write outcomes whose claims hold.
-- Inputs: a JSON list of lists, the columns of an outcome, in base64 what is bytes.
-- Result: the row count tells how many claims held.
UPDATE JSON_TABLE(
    %s, '$[*]' COLUMNS (
        id char(32) CHARACTER SET ascii PATH '$[0]',
        claim bigint PATH '$[1]',
        state smallint PATH '$[2]',
        available_at bigint PATH '$[3]',
        started_at bigint PATH '$[4]',
        last_attempted_at bigint PATH '$[5]',
        finished_at bigint PATH '$[6]',
        worker_ids longtext CHARACTER SET utf8mb4 PATH '$[7]',
        errors longtext CHARACTER SET utf8mb4 PATH '$[8]',
        return_value longtext CHARACTER SET utf8mb4 PATH '$[9]'
    )
) AS outcome
STRAIGHT_JOIN mainspring_job AS job FORCE INDEX (PRIMARY)
    ON job.id = outcome.id COLLATE ascii_bin AND job.state = 2 AND job.claim = outcome.claim
SET job.state = outcome.state, job.claim = NULL, job.available_at = outcome.available_at,
    job.started_at = outcome.started_at, job.last_attempted_at = outcome.last_attempted_at,
    job.finished_at = outcome.finished_at, job.worker_ids = FROM_BASE64(outcome.worker_ids),
    job.errors = FROM_BASE64(outcome.errors),
    job.return_value = FROM_BASE64(outcome.return_value)
