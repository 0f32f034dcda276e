-- name: run_keeps
UPDATE pgbackfill.run
SET keeps_old = true
WHERE id = $1
