-- name: run_totals
SELECT r.rows_changed, r.rows_passed, r.sweeps_passed, r.ranges_done, r.ranges_open,
       -- Once everything is planned the ranges know better than the statistics.
       CASE WHEN l.open = 0 THEN r.rows_planned ELSE greatest(l.rows_estimated, r.rows_planned) END AS rows_total,
       CASE WHEN l.open = 0 AND l.unswept = 0 THEN r.sweeps_planned ELSE greatest(l.sweeps_estimated, r.sweeps_planned) END AS sweeps_total,
       (SELECT count(*) FROM pgbackfill.bad_row WHERE run = $1) AS bad_rows,
       t.working_ms, t.throttled_ms, t.paused_ms, t.blocked_ms, t.retries
FROM (
    SELECT coalesce(sum(rows_changed), 0)::bigint AS rows_changed,
           coalesce(sum(rows_passed) FILTER (WHERE NOT swept), 0)::bigint AS rows_passed,
           coalesce(sum(rows_planned) FILTER (WHERE NOT swept), 0)::bigint AS rows_planned,
           coalesce(sum(rows_passed) FILTER (WHERE swept), 0)::bigint AS sweeps_passed,
           coalesce(sum(rows_planned) FILTER (WHERE swept), 0)::bigint AS sweeps_planned,
           count(*) FILTER (WHERE state = 'done') AS ranges_done,
           count(*) FILTER (WHERE state = 'open') AS ranges_open
    FROM pgbackfill.range
    WHERE run = $1
) AS r
CROSS JOIN (
    SELECT coalesce(sum(rows_estimated), 0)::bigint AS rows_estimated,
           coalesce(sum(sweeps_estimated), 0)::bigint AS sweeps_estimated,
           count(*) FILTER (WHERE state = 'open') AS open,
           count(*) FILTER (WHERE scan = 'heap' AND swept IS NULL) AS unswept
    FROM pgbackfill.leaf
    WHERE run = $1
) AS l
CROSS JOIN (
    SELECT coalesce(sum(working_ms), 0)::bigint AS working_ms,
           coalesce(sum(throttled_ms), 0)::bigint AS throttled_ms,
           coalesce(sum(paused_ms), 0)::bigint AS paused_ms,
           coalesce(sum(blocked_ms), 0)::bigint AS blocked_ms,
           coalesce(sum(retries), 0)::bigint AS retries
    FROM pgbackfill.process
    WHERE run = $1
) AS t
