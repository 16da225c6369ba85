-- prune: lock the keys of jobs that are to be deleted, except those that others have locked.
-- Inputs: $1 the ids as an array.
-- Result: key.
SELECT key FROM mainspring_unique WHERE job_id = ANY ($1::text[]) FOR UPDATE SKIP LOCKED
