-- name: step_note
-- Whose process is still there, and whom it waits for.
UPDATE pgbackfill.step
SET seen_at = clock_timestamp(),
    waits_for = $2
WHERE id = $1
