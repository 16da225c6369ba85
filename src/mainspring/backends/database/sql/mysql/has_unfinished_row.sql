-- look_at_maps: find out whether a map has an unfinished row. One such query for each map, in a UNION:
-- where the bounds come from another table, MariaDB reads all rows of all maps.
-- Inputs: the map's id, the id from which its rows begin, the one before which they end.
-- Result: the map's id, or no row.
(
    SELECT %s
    FROM mainspring_job PARTITION (live) FORCE INDEX (PRIMARY)
    WHERE id >= %s AND id < %s AND state < 3
    LIMIT 1
)
