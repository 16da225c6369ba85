-- cancel: let a job no longer wait for limits.
-- Inputs: the id.
DELETE FROM mainspring_held WHERE id = %s
