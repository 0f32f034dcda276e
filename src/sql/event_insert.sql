-- name: event_insert
INSERT INTO pgbackfill.event (run, kind, by, detail)
VALUES ($1, $2, $3, $4)
