-- admit: list the limit groups of the next jobs that wait for limits, in the order of the groups.
-- Inputs: the backend, the group after which to look, how many jobs.
-- Result: limit_group, for each job.
SELECT limit_group
FROM mainspring_held FORCE INDEX (mainspring_held_order)
WHERE backend = %s AND limit_group > %s
ORDER BY limit_group
LIMIT %s
