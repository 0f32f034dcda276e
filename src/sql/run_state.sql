-- name: run_state
UPDATE pgbackfill.run
SET state = $2,
    reason = $3,
    state_at = clock_timestamp(),
    completed_at = CASE WHEN $2 = 'complete' THEN clock_timestamp() END
WHERE id = $1
