-- name: bad_row_insert
INSERT INTO pgbackfill.bad_row (run, leaf, key, sqlstate, message)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (run, leaf, key) DO UPDATE SET sqlstate = excluded.sqlstate, message = excluded.message, at = excluded.at
