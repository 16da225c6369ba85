-- admit: let jobs that were made ready no longer wait for limits.
-- Inputs: ?1 the ids as a JSON list.
DELETE FROM mainspring_held WHERE id IN (SELECT value FROM json_each(?1))
