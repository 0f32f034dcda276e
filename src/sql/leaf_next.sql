-- name: leaf_next
-- One worker at a time moves a leaf's frontier; the others wait the few milliseconds that takes.
SELECT number, relation, schema, name, bound, frontier, scan, rows_per_block, pass, sweep,
       -- In the whole run, by the statistics: less than nothing where they are too old.
       ((SELECT sum(rows_estimated + sweeps_estimated) FROM pgbackfill.leaf WHERE run = $1)
        - (SELECT coalesce(sum(rows_planned), 0) FROM pgbackfill.range WHERE run = $1))::bigint AS rows_left
FROM pgbackfill.leaf
WHERE run = $1
AND state = 'open'
ORDER BY number
LIMIT 1
FOR UPDATE
