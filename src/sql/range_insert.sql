-- name: range_insert
-- The frontier's lock makes the number unique; the hint keeps the new range for the worker that planned it.
INSERT INTO pgbackfill.range (run, number, leaf, lo, hi, rows_planned, stripes, stripe_shift, why, pass, swept, attempts, hint_worker, hint_until)
SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $11, $12, 1, $9, clock_timestamp() + make_interval(secs => $10)
FROM pgbackfill.range
WHERE run = $1
RETURNING number
