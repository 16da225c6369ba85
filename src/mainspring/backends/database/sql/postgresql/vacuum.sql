-- vacuum: make the room of dead rows in the live table usable again, unless somebody does already.
-- Inputs: none; outside of a transaction.
-- Result: none. A user who does not own the table is warned by the server, and nothing happens.
VACUUM (SKIP_LOCKED, TRUNCATE FALSE) mainspring_job_live
