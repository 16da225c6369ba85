-- admit: find out whether a limit group has jobs that wait.
-- Inputs: the backend, the group.
-- Result: limit_group, or no row.
SELECT limit_group
FROM mainspring_held FORCE INDEX (mainspring_held_order)
WHERE backend = %s AND limit_group = %s
LIMIT 1
