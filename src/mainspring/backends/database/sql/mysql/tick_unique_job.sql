-- tick: note down the job of a schedule's last tick.
-- Inputs: the job, the backend, the name.
UPDATE mainspring_schedule
SET last_job_id = %s
WHERE backend = %s AND name = %s
