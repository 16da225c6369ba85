-- find_locked: list live jobs whose rows other transactions have locked.
-- Inputs: $1 the ids as an array.
-- Result: their ids.
WITH free AS MATERIALIZED (
    SELECT id
    FROM mainspring_job_live
    WHERE id = ANY ($1::text[])
    FOR UPDATE SKIP LOCKED
)
SELECT id
FROM mainspring_job_live
WHERE id = ANY ($1::text[])
EXCEPT
SELECT id
FROM free
