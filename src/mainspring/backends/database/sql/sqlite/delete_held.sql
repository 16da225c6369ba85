-- cancel: let a job no longer wait for limits.
-- Inputs (%s, as it runs on the caller's connection): the id.
DELETE FROM mainspring_held WHERE id = %s
