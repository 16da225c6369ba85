-- cancel: have a job wait for limits no more.
-- Inputs: the id.
DELETE FROM mainspring_held WHERE id = %s
