-- name: range_latest
-- The order that the run uses now: that of its latest range, and how many of the updates so far were HOT.
SELECT r.stripes,
       r.why,
       l.scan,
       l.sweep,
       (SELECT (100 * sum(rows_hot) / nullif(sum(rows_changed), 0))::int FROM pgbackfill.range WHERE run = $1) AS hot_percent
FROM pgbackfill.range AS r
JOIN pgbackfill.leaf AS l ON l.run = r.run AND l.number = r.leaf
WHERE r.run = $1
ORDER BY r.number DESC
LIMIT 1
