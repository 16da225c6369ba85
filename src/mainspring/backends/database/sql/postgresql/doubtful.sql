-- release_unanswered: list what some claims took, as their answers did not come.
-- Inputs: $1 the claims as a JSON list.
-- Result: id, claim, available_at.
SELECT id, claim, available_at
FROM mainspring_job_live
WHERE state = 2 AND claim IN (SELECT value::bigint FROM json_array_elements_text($1::json))
