-- admit: delete limits whose admitted calls no longer count.
-- Inputs: ?1 the names as a JSON list.
DELETE FROM mainspring_limit WHERE name IN (SELECT value FROM json_each(?1))
