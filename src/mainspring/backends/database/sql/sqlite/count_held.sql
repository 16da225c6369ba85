-- stats: count the jobs that wait for limits.
-- Inputs (%s, as it runs on the caller's connection): the backend.
SELECT count(*) FROM mainspring_held WHERE backend = %s
