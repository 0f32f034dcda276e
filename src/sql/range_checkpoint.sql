-- name: range_checkpoint
-- In the same transaction as the rows: nothing else ever says that rows are done.
UPDATE pgbackfill.range
SET stripe = $3,
    cursor = $4,
    state = $5,
    -- A stripe passes its part of a cell's keys; what rounding left over is settled at the end.
    rows_passed = CASE WHEN $5 = 'done' THEN rows_planned ELSE least(rows_passed + $6, rows_planned) END,
    rows_changed = rows_changed + $7,
    rows_wrong = rows_wrong + $12,
    -- What this transaction has updated without a new entry in any index; a trigger's updates of the table
    -- count, too.
    rows_hot = rows_hot + greatest(least(pg_stat_get_xact_tuples_hot_updated($8) - $11, $7), 0),
    hint_worker = $9,
    hint_until = clock_timestamp() + make_interval(secs => $10)
WHERE run = $1
AND number = $2
RETURNING rows_changed, rows_hot
