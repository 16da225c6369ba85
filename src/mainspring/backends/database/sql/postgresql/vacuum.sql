-- vacuum: reclaim the space of dead rows in the live table, unless another session is doing so.
-- Inputs: none; outside of a transaction.
-- Result: none. If the user does not own the table, the server only warns.
VACUUM (SKIP_LOCKED, TRUNCATE FALSE) mainspring_job_live
