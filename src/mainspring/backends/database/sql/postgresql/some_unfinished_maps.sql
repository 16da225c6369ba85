-- look_at_maps: list some of the unfinished maps.
-- Inputs: $1 the backend, $2 the id after which to look, $3 how many.
-- Result: id, whether it takes no more rows and all of them have finished; ordered by id.
SELECT
    page.id,
    page.is_closed AND NOT EXISTS (
        SELECT
        FROM mainspring_job_live AS job
        WHERE job.id >= left(page.id, 20) || '0' AND job.id < left(page.id, 20) || '3'
            AND job.state < 3
    )
FROM (
    SELECT id, is_closed
    FROM mainspring_map
    WHERE backend = $1 AND finished_at IS NULL AND id > $2
    ORDER BY id
    LIMIT $3
) AS page
ORDER BY page.id
