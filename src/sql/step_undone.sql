-- name: step_undone
-- After what a step made was taken back.
UPDATE pgbackfill.step
SET state = 'undone',
    waits_for = NULL,
    door_until = NULL,
    seen_at = clock_timestamp(),
    done_at = clock_timestamp()
WHERE id = $1
