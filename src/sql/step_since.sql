-- name: step_since
-- Whether the sync trigger of a job was in place before its latest run began.
SELECT coalesce((
    SELECT step.done_at <= run.created_at
    FROM pgbackfill.step
    CROSS JOIN (SELECT created_at FROM pgbackfill.run WHERE job = $1 AND kind = 'backfill' ORDER BY id DESC LIMIT 1) AS run
    WHERE step.job = $1 AND step.phase = 'expand' AND step.kind = 'sync' AND step.state = 'done'
), false) AS before_the_run
