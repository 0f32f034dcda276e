-- name: bad_row_list
SELECT key, sqlstate, message
FROM pgbackfill.bad_row
WHERE run = $1
ORDER BY at DESC
LIMIT $2
