-- In the same transaction as the rows: nothing else ever says that rows are done.
UPDATE pgbackfill.range
SET stripe = $3,
    cursor = $4,
    state = $5,
    rows_passed = rows_passed + $6,
    rows_changed = rows_changed + $7,
    hint_worker = $8,
    hint_until = clock_timestamp() + make_interval(secs => $9)
WHERE run = $1
AND number = $2
RETURNING number
