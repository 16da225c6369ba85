-- admit: find the next limit group, by its text, of a job that waits for limits.
-- Inputs: the backend, the group after which to look.
-- Result: limit_group, or no row.
SELECT limit_group
FROM mainspring_held FORCE INDEX (mainspring_held_order)
WHERE backend = %s AND limit_group > %s
ORDER BY limit_group
LIMIT 1
