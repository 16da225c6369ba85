-- stats: count the jobs that wait for limits.
-- Inputs: the backend.
SELECT count(*) FROM mainspring_held WHERE backend = %s
