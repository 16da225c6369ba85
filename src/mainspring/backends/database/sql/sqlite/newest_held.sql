-- admit: list the limit groups of the newest jobs that wait for limits.
-- Inputs: ?1 the backend, ?2 the id from which to look, ?3 how many.
-- Result: limit_group, for each job.
-- The + keeps SQLite from using an index by group: it would read and sort all waiting jobs.
SELECT limit_group
FROM mainspring_held
WHERE +backend = ?1 AND id >= ?2
ORDER BY id DESC
LIMIT ?3
