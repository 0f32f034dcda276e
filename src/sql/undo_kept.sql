-- name: undo_kept
-- The kept values of the runs of a job, the oldest first: their size, and for how long they have been there.
SELECT run.id AS run,
       -- Nothing writes to them, and nothing reads them.
       run.state IN ('complete', 'cancelled')
           AND NOT EXISTS (SELECT FROM pgbackfill.run AS u
                           WHERE u.of_run = run.id AND u.state NOT IN ('complete', 'cancelled')) AS is_over,
       run.key = (SELECT key FROM pgbackfill.run WHERE job = $1 AND kind = 'backfill' ORDER BY id DESC LIMIT 1) AS same_key,
       pg_total_relation_size(kept.relation) AS bytes,
       extract(epoch FROM clock_timestamp() - run.created_at)::float8 AS age_s
FROM pgbackfill.run
CROSS JOIN LATERAL (SELECT to_regclass(format('pgbackfill.undo_%s', run.id)) AS relation) AS kept
WHERE run.job = $1
AND run.keeps_old
AND kept.relation IS NOT NULL
ORDER BY run.id
