-- divide, finish_map: look which of some jobs are there, in whichever state.
-- Inputs: the ids as a JSON list.
-- Result: id.
SELECT job.id
FROM JSON_TABLE(
    %s, '$[*]' COLUMNS (id char(32) CHARACTER SET ascii PATH '$')
) AS wanted
STRAIGHT_JOIN mainspring_job AS job ON job.id = wanted.id COLLATE ascii_bin
