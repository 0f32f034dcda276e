-- name: leaf_frontier
UPDATE pgbackfill.leaf
SET frontier = $3,
    state = CASE WHEN bound = $3 THEN 'planned' ELSE 'open' END
WHERE run = $1
AND number = $2
