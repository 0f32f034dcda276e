-- name: verification_end
UPDATE pgbackfill.verification AS v
SET ended_at = clock_timestamp(),
    ended_lsn = pg_current_wal_insert_lsn(),
    rows = ranges.rows,
    rows_later = ranges.rows_later,
    mismatches = suspects.mismatches,
    moving = suspects.moving,
    unlisted = greatest(ranges.rows_wrong - suspects.listed, 0),
    bad_rows = bad.rows,
    verified = suspects.mismatches + suspects.moving + greatest(ranges.rows_wrong - suspects.listed, 0) + bad.rows = 0
FROM (
    SELECT coalesce(sum(rows_changed) FILTER (WHERE pass = 0), 0)::bigint AS rows,
           coalesce(sum(rows_changed) FILTER (WHERE pass > 0), 0)::bigint AS rows_later,
           coalesce(sum(rows_wrong), 0)::bigint AS rows_wrong
    FROM pgbackfill.range
    WHERE run = $1
) AS ranges
CROSS JOIN (
    SELECT count(*) AS listed,
           count(*) FILTER (WHERE state = 'confirmed') AS mismatches,
           count(*) FILTER (WHERE state = 'moving') AS moving
    FROM pgbackfill.suspect
    WHERE run = $1
) AS suspects
CROSS JOIN (SELECT count(*) AS rows FROM pgbackfill.bad_row WHERE run = $1) AS bad
WHERE v.run = $1
