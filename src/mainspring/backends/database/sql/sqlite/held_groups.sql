-- admit: list the next limit groups of the jobs that wait for limits.
-- Inputs: ?1 the backend, ?2 the group after which to look, ?3 how many.
-- Result: limit_group, in its order.
WITH RECURSIVE held (limit_group, number) AS (
    SELECT
        (SELECT min(limit_group) FROM mainspring_held WHERE backend = ?1 AND limit_group > ?2),
        1
    UNION ALL
    SELECT
        (
            SELECT min(limit_group)
            FROM mainspring_held
            WHERE backend = ?1 AND limit_group > held.limit_group
        ),
        number + 1
    FROM held
    WHERE limit_group IS NOT NULL AND number < ?3
)
SELECT limit_group FROM held WHERE limit_group IS NOT NULL
