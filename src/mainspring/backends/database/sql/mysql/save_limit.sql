-- admit: write which calls a limit has admitted; it is locked.
-- Inputs: used, from when it may be of no use, the name.
UPDATE mainspring_limit
SET used = %s, idle_at = %s
WHERE name = %s
