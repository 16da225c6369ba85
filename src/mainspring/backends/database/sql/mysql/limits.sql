-- admit: read which calls limits have admitted.
-- Inputs: the names of the limits.
-- Result: name, used.
SELECT name, used FROM mainspring_limit FORCE INDEX (PRIMARY) WHERE name IN %s
