-- admit: write which calls a limit has admitted.
-- Inputs: ?1 the name, ?2 used, ?3 from when it may be of no use.
UPDATE mainspring_limit
SET used = ?2, idle_at = ?3
WHERE name = ?1
