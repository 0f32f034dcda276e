-- name: range_close
-- The ranges of a leaf that is walked anew, once the batches that are under way in them have ended. What they
-- have changed stays counted, what they have not passed is planned again.
UPDATE pgbackfill.range
SET state = 'done',
    stripe = stripes - 1,
    cursor = hi,
    rows_planned = rows_passed,
    why = $3
WHERE run = $1
AND leaf = $2
AND state = 'open'
