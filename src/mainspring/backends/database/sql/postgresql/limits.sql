-- admit: read which calls limits have admitted.
-- Inputs: $1 the names of the limits.
-- Result: name, used.
SELECT name, used FROM mainspring_limit WHERE name = ANY ($1::text[])
