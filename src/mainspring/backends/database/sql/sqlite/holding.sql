-- admit: find those of some limit groups that have jobs which wait.
-- Inputs: ?1 the backend, ?2 the groups as a JSON list.
-- Result: limit_group.
SELECT value
FROM json_each(?2)
WHERE EXISTS (SELECT 1 FROM mainspring_held WHERE backend = ?1 AND limit_group = value)
