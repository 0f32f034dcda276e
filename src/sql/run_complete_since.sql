-- name: run_complete_since
-- For how many seconds the latest run of a job has been in its state.
SELECT extract(epoch FROM clock_timestamp() - state_at)::float8 AS seconds
FROM pgbackfill.run
WHERE job = $1
AND kind = 'backfill'
ORDER BY id DESC
LIMIT 1
