-- admit: let jobs that were made ready no longer wait for limits.
-- Inputs: the ids.
DELETE FROM mainspring_held WHERE id IN %s
