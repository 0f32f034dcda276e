-- name: leaf_insert
-- A leaf that another process has found at the same moment is there already. What is walked by block is swept
-- once at the least, which counts as so many rows ($10).
INSERT INTO pgbackfill.leaf (run, number, relation, schema, name, shape, bound, state, rows_estimated, scan, rows_per_block, filenode,
                             sweeps_estimated, pass)
SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, CASE WHEN $6::text[] IS NULL THEN 'planned' ELSE 'open' END, $7,
       $8, $9, CASE WHEN $8 = 'heap' THEN pg_relation_filenode($2::oid) END, $10, $11
FROM pgbackfill.leaf
WHERE run = $1
ON CONFLICT (run, relation) DO NOTHING
RETURNING number
