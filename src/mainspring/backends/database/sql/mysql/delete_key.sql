-- prune: delete one key.
-- Inputs: the key.
DELETE FROM mainspring_unique WHERE `key` = %s
