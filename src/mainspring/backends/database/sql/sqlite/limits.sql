-- admit: read which calls limits have admitted.
-- Inputs: ?1 the names of the limits as a JSON list.
-- Result: name, used.
SELECT name, used FROM mainspring_limit WHERE name IN (SELECT value FROM json_each(?1))
