-- tick: note down the job of a schedule's last tick.
-- Inputs (%s, as it runs on the caller's connection): the job, the backend, the name.
UPDATE mainspring_schedule
SET last_job_id = %s
WHERE backend = %s AND name = %s
