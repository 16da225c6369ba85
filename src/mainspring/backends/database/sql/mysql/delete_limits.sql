-- admit: delete limits that have admitted nobody who matters; they are locked.
-- Inputs: the names.
DELETE FROM mainspring_limit WHERE name IN %s
