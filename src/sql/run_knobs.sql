-- name: run_knobs
UPDATE pgbackfill.run
SET knobs = $2::text::jsonb
WHERE id = $1
