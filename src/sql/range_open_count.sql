-- name: range_open_count
SELECT (SELECT count(*) FROM pgbackfill.range WHERE run = $1 AND state = 'open')
     + (SELECT count(*) FROM pgbackfill.leaf WHERE run = $1 AND state = 'open')
