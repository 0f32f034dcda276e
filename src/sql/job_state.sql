-- name: job_state
SELECT pgbackfill.state($1)
