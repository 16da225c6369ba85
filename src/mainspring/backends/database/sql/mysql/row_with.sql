-- read_rows: look which row of a map has a certain call.
-- Inputs: the id from which its rows of calls begin, the id of a row that would begin with the
--   call.
-- Result: its id.
SELECT id
FROM mainspring_job FORCE INDEX (PRIMARY)
WHERE id >= %s AND id <= %s
ORDER BY id DESC
LIMIT 1
