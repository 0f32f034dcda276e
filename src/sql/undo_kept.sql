-- name: undo_kept
-- The kept values of the runs of a job, the oldest first: their size, and for how long they have been there.
SELECT run.id AS run, run.state,
       pg_total_relation_size(kept.relation) AS bytes,
       extract(epoch FROM clock_timestamp() - run.created_at)::float8 AS age_s
FROM pgbackfill.run
CROSS JOIN LATERAL (SELECT to_regclass(format('pgbackfill.undo_%s', run.id)) AS relation) AS kept
WHERE run.job = $1
AND run.keeps_old
AND kept.relation IS NOT NULL
ORDER BY run.id
