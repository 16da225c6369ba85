-- prune: delete the record of one map, if it ended long enough ago or still takes rows.
-- Inputs: the id, before when.
DELETE FROM mainspring_map
WHERE id = %s AND (finished_at < %s OR (finished_at IS NULL AND is_closed = 0))
