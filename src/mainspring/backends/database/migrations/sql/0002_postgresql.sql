-- The table of jobs in two partitions. The live one, which claims and settles work on, stays small
-- and is quick to vacuum, however many results the finished one keeps.
DROP TABLE mainspring_job;

CREATE TABLE mainspring_job (
    id varchar(32) COLLATE "C" NOT NULL,
    backend varchar(64) COLLATE "C" NOT NULL,
    task_path varchar(255) COLLATE "C" NOT NULL,
    queue_name varchar(64) COLLATE "C" NOT NULL,
    priority smallint NOT NULL,
    available_at bigint NOT NULL,
    state smallint NOT NULL,
    claim bigint,
    arguments bytea NOT NULL,
    run_after bigint,
    enqueued_at bigint NOT NULL,
    started_at bigint,
    last_attempted_at bigint,
    finished_at bigint,
    worker_ids bytea,
    errors bytea,
    return_value bytea,
    PRIMARY KEY (id, state)
) PARTITION BY LIST (state);

CREATE TABLE mainspring_job_live PARTITION OF mainspring_job FOR VALUES IN (0, 1, 2);

CREATE TABLE mainspring_job_finished PARTITION OF mainspring_job FOR VALUES IN (3, 4, 5);

CREATE INDEX mainspring_job_ready
    ON mainspring_job_live (backend, queue_name, priority, available_at) WHERE state = 1;

-- That a ready job has no claim says nothing new: it keeps this index from being taken for claims
-- from one queue, where the statistics know of no other.
CREATE INDEX mainspring_job_ready_any
    ON mainspring_job_live (backend, priority, available_at) WHERE state = 1 AND claim IS NULL;

CREATE INDEX mainspring_job_scheduled
    ON mainspring_job_live (backend, available_at) WHERE state = 0;

CREATE INDEX mainspring_job_running ON mainspring_job_live (claim) WHERE state = 2;
