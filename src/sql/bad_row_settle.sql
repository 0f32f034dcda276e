-- name: bad_row_settle
-- A row that was changed leaves the quarantine and counts in its range.
WITH settled AS (
    DELETE FROM pgbackfill.bad_row
    WHERE run = $1
    AND leaf = $2
    AND key = $3
)
UPDATE pgbackfill.range
SET rows_changed = rows_changed + 1
WHERE run = $1
AND number = $4
RETURNING number
