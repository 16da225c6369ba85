-- cancel: add the error to a job that was cancelled in the same transaction.
-- Inputs (%s, as it runs on the caller's connection): the errors, the id.
UPDATE mainspring_job
SET errors = %s, claim = NULL
WHERE id = %s
