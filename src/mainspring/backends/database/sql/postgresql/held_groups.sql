-- admit: list the next limit groups of the jobs that wait for limits.
-- Inputs: $1 the backend, $2 the group after which to look, $3 how many.
-- Result: limit_group, in its order.
WITH RECURSIVE held AS (
    SELECT
        (
            SELECT limit_group
            FROM mainspring_held
            WHERE backend = $1 AND limit_group > $2
            ORDER BY limit_group
            LIMIT 1
        ) AS limit_group,
        1 AS number
    UNION ALL
    SELECT
        (
            SELECT limit_group
            FROM mainspring_held
            WHERE backend = $1 AND limit_group > held.limit_group
            ORDER BY limit_group
            LIMIT 1
        ),
        number + 1
    FROM held
    WHERE held.limit_group IS NOT NULL AND number < $3
)
SELECT limit_group FROM held WHERE limit_group IS NOT NULL
