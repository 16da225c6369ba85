-- admit: list the limit groups of the jobs that wait for limits.
-- Inputs: $1 the backend.
-- Result: limit_group.
WITH RECURSIVE held AS (
    SELECT (
        SELECT limit_group
        FROM mainspring_held
        WHERE backend = $1
        ORDER BY limit_group
        LIMIT 1
    ) AS limit_group
    UNION ALL
    SELECT (
        SELECT limit_group
        FROM mainspring_held
        WHERE backend = $1 AND limit_group > held.limit_group
        ORDER BY limit_group
        LIMIT 1
    )
    FROM held
    WHERE held.limit_group IS NOT NULL
)
SELECT limit_group FROM held WHERE limit_group IS NOT NULL
