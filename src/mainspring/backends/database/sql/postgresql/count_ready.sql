-- stats: count the ready jobs.
-- Inputs (%s, as it runs on the caller's connection): the backend.
-- Result: a row for each queue: its name, the count, the moment the oldest became available.
SELECT queue_name, count(*), min(available_at)
FROM mainspring_job_live
WHERE state = 1 AND backend = %s
GROUP BY queue_name
