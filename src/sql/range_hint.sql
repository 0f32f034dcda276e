-- name: range_hint
-- Only of the worker that hints at it: who leaves in peace lets the next one take its range at once, who is held up there keeps the others
-- away, and who is held up for longer lets the range rest.
UPDATE pgbackfill.range
SET hint_worker = $4,
    hint_until = clock_timestamp() + make_interval(secs => $5)
WHERE run = $1
AND number = $2
AND hint_worker = $3
