-- name: step_aside
-- Asks the batches of all runs on this table to make way for a step, for so many seconds; the guard of each
-- reads it. Whether a process of such a run is there.
UPDATE pgbackfill.step
SET seen_at = clock_timestamp(),
    door_until = clock_timestamp() + make_interval(secs => $2)
WHERE id = $1
RETURNING EXISTS (
    SELECT
    FROM pgbackfill.run
    JOIN pgbackfill.process ON process.run = run.id
    WHERE run.state = 'running'
    AND (run.target = step.relation OR EXISTS (
        SELECT FROM pgbackfill.leaf WHERE leaf.run = run.id AND leaf.relation = step.relation))
    AND process.left_at IS NULL
    AND process.last_seen > clock_timestamp() - make_interval(secs => $3)
) AS is_worked_on
