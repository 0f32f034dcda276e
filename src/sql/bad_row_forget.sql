-- name: bad_row_forget
DELETE FROM pgbackfill.bad_row
WHERE run = $1
AND leaf = $2
