-- name: run_lock
-- A session that moves the run's state or plans its end holds this lock; a worker waits for it only to plan a
-- range or to put a row aside.
SELECT state, reason, knobs::text
FROM pgbackfill.run
WHERE id = $1
FOR UPDATE
