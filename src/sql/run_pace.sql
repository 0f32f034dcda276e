-- name: run_pace
UPDATE pgbackfill.run
SET knobs = $2::text::jsonb,
    job_text = $3
WHERE id = $1
