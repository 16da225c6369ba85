-- finish_map: write how far a map is, in the transaction that has locked it.
-- Inputs: $1 the level, $2 the result's id, $3 when it was finished, $4 the id.
UPDATE mainspring_map
SET level = $1, result_id = $2, finished_at = $3
WHERE id = $4
