-- name: leaf_all
SELECT number, relation, schema, name, scan, rows_per_block, sweep, swept, bound, pass,
       state = 'open'
           OR EXISTS (SELECT FROM pgbackfill.range AS r WHERE r.run = leaf.run AND r.leaf = leaf.number AND r.state = 'open') AS has_work
FROM pgbackfill.leaf
WHERE run = $1
ORDER BY number
