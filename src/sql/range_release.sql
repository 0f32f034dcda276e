-- A worker that leaves in peace lets the next one take its range at once.
UPDATE pgbackfill.range
SET hint_until = NULL
WHERE run = $1
AND number = $2
AND hint_worker = $3
