-- name: run_forget
UPDATE pgbackfill.run
SET keeps_old = false
WHERE id = $1
