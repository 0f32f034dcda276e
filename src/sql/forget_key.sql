-- name: forget_key
-- One row of a job's table out of the quarantine, the rows that verifications have found, and those that an undo
-- has left; gives how many entries there were.
WITH runs AS (
    SELECT id FROM pgbackfill.run WHERE job = $1
), bad AS (
    DELETE FROM pgbackfill.bad_row WHERE run IN (SELECT id FROM runs) AND key = $2 RETURNING 1
), suspects AS (
    DELETE FROM pgbackfill.suspect WHERE run IN (SELECT id FROM runs) AND key = $2 RETURNING 1
), put_back AS (
    DELETE FROM pgbackfill.undo_left WHERE run IN (SELECT id FROM runs) AND key = $2 RETURNING 1
)
SELECT (SELECT count(*) FROM bad) + (SELECT count(*) FROM suspects) + (SELECT count(*) FROM put_back) AS entries
