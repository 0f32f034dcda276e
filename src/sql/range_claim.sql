-- name: range_claim
-- MATERIALIZED: re-executed, a LIMIT 1 FOR UPDATE SKIP LOCKED could lock a second row.
WITH candidate AS MATERIALIZED (
    SELECT r.run, r.number, r.hint_worker IS NOT DISTINCT FROM $4 AS rested
    FROM pgbackfill.range AS r
    WHERE r.run = $1
    AND r.state = 'open'
    AND (r.hint_until IS NULL OR r.hint_until < clock_timestamp() OR r.hint_worker = $2
         -- A hint that lasts too long is of another clock: that of a primary before this one.
         OR r.hint_until > clock_timestamp() + make_interval(secs => 4 * $3 + 60))
    ORDER BY r.number
    LIMIT 1
    FOR UPDATE SKIP LOCKED -- a locked range has a worker
)
UPDATE pgbackfill.range AS r
SET attempts = r.attempts + 1,
    hint_worker = $2,
    hint_until = clock_timestamp() + make_interval(secs => $3)
FROM candidate AS c
JOIN pgbackfill.leaf AS l ON l.run = c.run
WHERE r.run = c.run
AND r.number = c.number
AND l.number = r.leaf
RETURNING r.number, r.leaf, l.relation, l.schema, l.name, l.scan, l.rows_per_block, l.sweep, r.lo, r.hi, r.stripes, r.stripe_shift,
          r.stripe, r.cursor, c.rested
