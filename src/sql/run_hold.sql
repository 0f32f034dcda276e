-- name: run_hold
-- A session that adds to the quarantine holds this lock, so that its limit holds for all workers together.
-- Planning goes on beside it: new ranges refer to the run by a weaker lock. It is taken after that of a
-- range, and a session that has it asks for no other.
SELECT
FROM pgbackfill.run
WHERE id = $1
FOR NO KEY UPDATE
