-- name: bad_row_leaf
SELECT count(*)
FROM pgbackfill.bad_row
WHERE run = $1
AND leaf = $2
