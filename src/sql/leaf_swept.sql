-- name: leaf_swept
UPDATE pgbackfill.leaf
SET swept = $3
WHERE run = $1
AND number = $2
