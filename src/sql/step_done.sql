-- name: step_done
-- In the transaction of what a step does, or after it where it has none.
UPDATE pgbackfill.step
SET state = 'done',
    adopted = $2,
    waits_for = NULL,
    door_until = NULL,
    seen_at = clock_timestamp(),
    done_at = clock_timestamp()
WHERE id = $1
