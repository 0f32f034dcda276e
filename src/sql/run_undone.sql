-- name: run_undone
SELECT EXISTS (SELECT FROM pgbackfill.run WHERE of_run = $1 AND kind = 'undo') AS undone
