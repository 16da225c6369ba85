-- finish_map: write how far a map is, in the transaction that has locked it.
-- Inputs: the level, the result's id, when it was finished, the id.
UPDATE mainspring_map
SET level = %s, result_id = %s, finished_at = %s
WHERE id = %s
