-- admit: lock limits, all in one order and without waiting long, and read which calls they have admitted.
-- Inputs: $1 the names of the limits, $2 whether the transaction need not wait for the disk.
-- Result: name, used.
WITH how AS MATERIALIZED (
    SELECT
        set_config('lock_timeout', '250ms', true),
        set_config(
            'synchronous_commit',
            CASE WHEN $2 THEN 'off' ELSE current_setting('synchronous_commit') END,
            true
        )
)
SELECT held.name, held.used
FROM how
CROSS JOIN mainspring_limit AS held
WHERE held.name = ANY ($1::text[])
ORDER BY held.name
FOR UPDATE OF held
