-- name: run_settle
-- Waits for the batches of a run that are under way, and for rows of its quarantine that are run again: each holds
-- the lock of its row.
WITH ranges AS (
    SELECT 1 FROM pgbackfill.range WHERE run = $1 AND state = 'open' FOR UPDATE
), bad AS (
    SELECT 1 FROM pgbackfill.bad_row WHERE run = $1 FOR UPDATE
)
SELECT (SELECT count(*) FROM ranges) + (SELECT count(*) FROM bad) AS locked
