-- name: undo_later
-- Later backfills of a table that were not undone, the latest first, each with its job as text.
SELECT run.id AS run, run.job, run.job_text
FROM pgbackfill.run
WHERE run.kind = 'backfill'
AND run.id > $1
AND run.target = $2
AND NOT EXISTS (SELECT FROM pgbackfill.run AS u WHERE u.of_run = run.id AND u.kind = 'undo' AND u.state = 'complete')
ORDER BY run.id DESC
