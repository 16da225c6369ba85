-- admit: list the limit groups of the newest jobs that wait for limits.
-- Inputs: the backend, the id from which to look, how many.
-- Result: limit_group, for each job.
SELECT limit_group
FROM mainspring_held FORCE INDEX (PRIMARY)
WHERE backend = %s AND id >= %s
ORDER BY id DESC
LIMIT %s
