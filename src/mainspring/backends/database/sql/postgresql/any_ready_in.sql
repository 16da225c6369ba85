-- wake: like any_ready, but search for ready jobs in spans only; see stretches.py.
-- Inputs: $1 the backend, $2 the last due time to search for, $3 to $7 an array for the queue and for
--   each column of the spans in single queues, $8 the queues that the other spans leave out, $9 to $12
--   an array for each column of those spans, $13 the first due time to search for.
-- Result: whether any is; the id of the newest job that waits for limits, of any backend, or NULL.
SELECT
    EXISTS (
        SELECT
        FROM unnest($3::text[], $4::smallint[], $5::bigint[], $6::smallint[], $7::bigint[])
            AS span (queue_name, top, last, bottom, first)
        CROSS JOIN LATERAL (
            (
                SELECT
                FROM mainspring_job_live
                WHERE span.top = span.bottom AND state = 1 AND backend = $1
                    AND queue_name = span.queue_name COLLATE "C"
                    AND priority = span.top AND available_at BETWEEN span.first AND span.last
                ORDER BY available_at
                LIMIT 1
            )
            UNION ALL
            (
                SELECT
                FROM mainspring_job_live
                WHERE span.top > span.bottom AND state = 1 AND backend = $1
                    AND queue_name = span.queue_name COLLATE "C"
                    AND priority BETWEEN span.bottom AND span.top
                ORDER BY priority
                LIMIT 1
            )
        ) AS ready
    )
    OR EXISTS (
        SELECT
        FROM unnest($9::smallint[], $10::bigint[], $11::smallint[], $12::bigint[])
            AS span (top, last, bottom, first)
        CROSS JOIN LATERAL (
            (
                SELECT
                FROM mainspring_job_live
                WHERE span.top = span.bottom AND state = 1 AND claim IS NULL AND backend = $1
                    AND queue_name <> ALL ($8::text[])
                    AND priority = span.top AND available_at BETWEEN span.first AND span.last
                ORDER BY available_at
                LIMIT 1
            )
            UNION ALL
            (
                SELECT
                FROM mainspring_job_live
                WHERE span.top > span.bottom AND state = 1 AND claim IS NULL AND backend = $1
                    AND queue_name <> ALL ($8::text[])
                    AND priority BETWEEN span.bottom AND span.top
                ORDER BY priority
                LIMIT 1
            )
        ) AS ready
    )
    OR EXISTS (
        SELECT FROM mainspring_job_live WHERE state = 0 AND backend = $1 AND available_at BETWEEN $13 AND $2
    ),
    (SELECT max(id) FROM mainspring_held)
