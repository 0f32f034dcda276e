-- name: bad_row_again
-- It was tried again, and this is what was wrong with it then.
UPDATE pgbackfill.bad_row
SET sqlstate = $4,
    message = $5,
    at = clock_timestamp()
WHERE run = $1
AND leaf = $2
AND key = $3
