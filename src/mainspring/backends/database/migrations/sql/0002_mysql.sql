-- The table of jobs in two partitions, as on PostgreSQL. Indexes cannot be partial here, so they
-- begin with the state. Names compare byte by byte, trailing spaces included, for which MariaDB
-- and MySQL have no collation in common.
DROP TABLE mainspring_job;

CREATE TABLE mainspring_job (
    id char(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    backend varchar(64) CHARACTER SET utf8mb4
        COLLATE /*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */ NOT NULL,
    task_path varchar(255) CHARACTER SET utf8mb4
        COLLATE /*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */ NOT NULL,
    queue_name varchar(64) CHARACTER SET utf8mb4
        COLLATE /*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */ NOT NULL,
    priority smallint NOT NULL,
    available_at bigint NOT NULL,
    state smallint NOT NULL,
    claim bigint,
    arguments longblob NOT NULL,
    run_after bigint,
    enqueued_at bigint NOT NULL,
    started_at bigint,
    last_attempted_at bigint,
    finished_at bigint,
    worker_ids longblob,
    errors longblob,
    return_value longblob,
    PRIMARY KEY (id, state),
    KEY mainspring_job_ready (state, backend, queue_name, priority, available_at),
    KEY mainspring_job_ready_any (state, backend, priority, available_at),
    KEY mainspring_job_available (state, backend, available_at)
) ENGINE = InnoDB
PARTITION BY LIST (state) (
    PARTITION live VALUES IN (0, 1, 2),
    PARTITION finished VALUES IN (3, 4, 5)
);

ALTER TABLE mainspring_worker
    ENGINE = InnoDB,
    MODIFY worker_id varchar(128) CHARACTER SET utf8mb4
        COLLATE /*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */ NOT NULL,
    MODIFY backend varchar(64) CHARACTER SET utf8mb4
        COLLATE /*M! utf8mb4_nopad_bin */ /*!80000 utf8mb4_0900_bin */ NOT NULL;
