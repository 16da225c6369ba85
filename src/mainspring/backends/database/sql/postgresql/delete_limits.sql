-- admit: delete limits that have admitted nobody who matters; they are locked.
-- Inputs: $1 the names.
DELETE FROM mainspring_limit WHERE name = ANY ($1::text[])
