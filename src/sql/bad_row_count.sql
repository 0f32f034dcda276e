-- name: bad_row_count
SELECT count(*)
FROM pgbackfill.bad_row
WHERE run = $1
