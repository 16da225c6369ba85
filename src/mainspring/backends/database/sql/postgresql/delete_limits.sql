-- admit: delete limits whose admitted calls no longer count; they are locked.
-- Inputs: $1 the names.
DELETE FROM mainspring_limit WHERE name = ANY ($1::text[])
