-- cancel: read the errors so far of a job that was cancelled in the same transaction.
-- Inputs: the id.
-- Result: its errors, its claim if it was running, its limit group.
SELECT errors, claim, limit_group FROM mainspring_job WHERE id = %s AND state = 5
