-- rescue: find claims of workers that are not registered.
-- Inputs: $1 the backend.
-- Result: the tokens, the upper halves of the claims.
-- Searches the gaps between the claims of registered workers: while a transaction stays open, the
-- index may still have all entries of these workers. OFFSET 0 keeps the planner from turning the join
-- around. The last gap ends with the highest bigint: one more would overflow to the lowest.
WITH known AS (
    SELECT token FROM mainspring_worker
    UNION ALL
    SELECT -1
    UNION ALL
    SELECT 2147483648
), gap AS (
    SELECT token AS after, lead(token) OVER (ORDER BY token) AS before FROM known
)
SELECT DISTINCT found.claim >> 32
FROM gap
CROSS JOIN LATERAL (
    SELECT claim
    FROM mainspring_job_live
    WHERE state = 2 AND backend = $1
        AND claim BETWEEN (gap.after + 1) << 32 AND ((gap.before - 1) << 32) + 4294967295
    OFFSET 0
) AS found
WHERE gap.before > gap.after + 1
