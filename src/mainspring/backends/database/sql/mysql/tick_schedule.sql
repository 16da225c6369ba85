-- tick: have a schedule come as far as a tick; it is locked.
-- Inputs: the tick, the job, if it has one, now, the backend, the name.
UPDATE mainspring_schedule
SET last_tick = %s, last_job_id = coalesce(%s, last_job_id), seen_at = %s
WHERE backend = %s AND name = %s
