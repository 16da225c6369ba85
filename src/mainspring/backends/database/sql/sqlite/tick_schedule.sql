-- tick: have a schedule come as far as a tick; it is locked.
-- Inputs: ?1 the tick, ?2 the job, if it has one, ?3 now, ?4 the backend, ?5 the name.
UPDATE mainspring_schedule
SET last_tick = ?1, last_job_id = coalesce(?2, last_job_id), seen_at = ?3
WHERE backend = ?4 AND name = ?5
