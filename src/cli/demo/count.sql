SELECT
    count(*) FILTER (WHERE backfilled = 0) AS never,
    count(*) FILTER (WHERE backfilled = 1) AS once,
    count(*) FILTER (WHERE backfilled NOT IN (0, 1)) AS more,
    count(*) FILTER (WHERE status_v2 IS DISTINCT FROM (:status_v2)) AS wrong
FROM orders
