-- divide, finish_map: store one job, on a worker's connection, unless it is there.
-- Inputs: $1 to $14, the first fourteen columns of a job.
INSERT INTO mainspring_job_live
    (id, backend, task_path, queue_name, priority, available_at, state, claim, arguments,
     run_after, enqueued_at, options, metadata, limit_group)
SELECT
    $1::text, $2::text, $3::text, $4::text, $5::smallint, $6::bigint, $7::smallint, $8::bigint,
    $9::bytea, $10::bigint, $11::bigint, $12::bytea, $13::bytea, $14::text
WHERE NOT EXISTS (SELECT FROM mainspring_job WHERE id = $1::text COLLATE "C")
