-- admit: have jobs that were made ready wait no more.
-- Inputs: the ids.
DELETE FROM mainspring_held WHERE id IN %s
