-- name: range_hint
-- Only the worker that hints at the range may change the hint: it ends it when it leaves, lengthens it while
-- it retries, or marks the range as resting.
UPDATE pgbackfill.range
SET hint_worker = $4,
    hint_until = clock_timestamp() + make_interval(secs => $5)
WHERE run = $1
AND number = $2
AND hint_worker = $3
