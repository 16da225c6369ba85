-- check: find out how Mainspring's tables are kept.
-- Result: table, engine.
SELECT table_name, engine
FROM information_schema.tables
WHERE table_schema = DATABASE()
    AND table_name IN (
        'mainspring_held', 'mainspring_job', 'mainspring_limit', 'mainspring_map',
        'mainspring_pause', 'mainspring_unique', 'mainspring_worker'
    )
