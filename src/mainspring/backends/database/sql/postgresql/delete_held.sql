-- cancel: have a job wait for limits no more.
-- Inputs (%s, as it runs on the caller's connection): the id.
DELETE FROM mainspring_held WHERE id = %s
