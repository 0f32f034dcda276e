-- name: bad_row_insert
INSERT INTO pgbackfill.bad_row (run, leaf, key, sqlstate, message, range)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (run, leaf, key) DO UPDATE SET sqlstate = excluded.sqlstate, message = excluded.message, range = excluded.range, at = excluded.at
