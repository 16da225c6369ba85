-- prune: delete one key.
-- Inputs: $1 the key.
DELETE FROM mainspring_unique WHERE key = $1
