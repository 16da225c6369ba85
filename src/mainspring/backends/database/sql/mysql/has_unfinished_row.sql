-- look_at_maps: find out whether a map has an unfinished row. Runs once for each map, in a UNION ALL:
-- if the bounds came from another table, MariaDB would read all rows of all maps.
-- Inputs: the map's id, the lowest possible id of its rows, the id before which they end.
-- Result: the map's id, or no row.
(
    SELECT %s
    FROM mainspring_job PARTITION (live) FORCE INDEX (PRIMARY)
    WHERE id >= %s AND id < %s AND state < 3
    LIMIT 1
)
