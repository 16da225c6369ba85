-- admit: list the limit groups of the jobs that wait for limits.
-- Inputs: ?1 the backend.
-- Result: limit_group.
WITH RECURSIVE held (limit_group) AS (
    SELECT (SELECT min(limit_group) FROM mainspring_held WHERE backend = ?1)
    UNION ALL
    SELECT (
        SELECT min(limit_group)
        FROM mainspring_held
        WHERE backend = ?1 AND limit_group > held.limit_group
    )
    FROM held
    WHERE limit_group IS NOT NULL
)
SELECT limit_group FROM held WHERE limit_group IS NOT NULL
