-- prune: delete the record of one map, if it ended long enough ago or still takes rows.
-- Inputs: ?1 the id, ?2 before when.
DELETE FROM mainspring_map
WHERE id = ?1 AND (finished_at < ?2 OR (finished_at IS NULL AND is_closed = 0))
