-- name: bad_row_exists
SELECT EXISTS (SELECT FROM pgbackfill.bad_row WHERE run = $1 AND leaf = $2 AND key = $3)
