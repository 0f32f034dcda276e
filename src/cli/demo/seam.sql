-- One statement, so one snapshot: a batch that a backend commits just now is in both numbers or in neither.
SELECT
    (SELECT coalesce(sum(rows_changed), 0)::bigint FROM pgbackfill.range) AS recorded,
    (SELECT count(*) FROM orders WHERE backfilled <> 0) AS changed
