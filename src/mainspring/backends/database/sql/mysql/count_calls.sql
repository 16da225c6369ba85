-- count_calls: count the calls of a map by state.
-- Inputs: the map's id, the backend, the id from which its rows of calls begin, the one before
--   which they end.
-- Result: state, how many.
-- A row has the calls up to the first one of the next; the last one, up to what is stored.
SELECT state, sum(ends - begins)
FROM (
    SELECT
        job.state,
        CAST(substr(job.id, 21) AS signed) AS begins,
        coalesce(
            lead(CAST(substr(job.id, 21) AS signed)) OVER (ORDER BY job.id), map.stored
        ) AS ends
    FROM mainspring_map AS map
    CROSS JOIN mainspring_job AS job
    WHERE map.id = %s AND map.backend = %s AND job.id >= %s AND job.id < %s
) AS numbered
GROUP BY state
