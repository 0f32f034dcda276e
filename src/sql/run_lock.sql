-- Whoever moves the run's state or plans its end holds this lock; workers never wait for it.
SELECT state, reason, knobs::text
FROM pgbackfill.run
WHERE id = $1
FOR UPDATE
