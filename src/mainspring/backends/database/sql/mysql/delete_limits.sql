-- admit: delete limits whose admitted calls no longer count; they are locked.
-- Inputs: the names.
DELETE FROM mainspring_limit WHERE name IN %s
