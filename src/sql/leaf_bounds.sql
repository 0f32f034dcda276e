-- name: leaf_bounds
-- The last key of each leaf of a run that was walked by key.
SELECT relation, bound
FROM pgbackfill.leaf
WHERE run = $1
AND scan = 'keys'
