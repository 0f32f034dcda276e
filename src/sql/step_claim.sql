-- name: step_claim
-- Takes a step, unless another process is at work on it: one that was heard of lately and whose session is
-- still there. No row comes back then.
INSERT INTO pgbackfill.step AS step (job, phase, kind, name, definition, relation, relation_name, state, made_by, backend, backend_start)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'doing', $8, pg_backend_pid(),
        (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()))
ON CONFLICT (job, phase, kind, name) DO UPDATE
SET definition = excluded.definition,
    relation = excluded.relation,
    relation_name = excluded.relation_name,
    state = 'doing',
    made_by = excluded.made_by,
    backend = excluded.backend,
    backend_start = excluded.backend_start,
    seen_at = clock_timestamp(),
    waits_for = NULL
WHERE step.state IN ('done', 'undone')
OR step.made_by = excluded.made_by
OR step.seen_at NOT BETWEEN clock_timestamp() - make_interval(secs => $9) AND clock_timestamp() + make_interval(secs => $9)
OR NOT EXISTS (
    SELECT FROM pg_stat_activity AS activity
    WHERE activity.pid = step.backend
    -- A role that may not see it is not told.
    AND (activity.backend_start = step.backend_start OR activity.backend_start IS NULL OR step.backend_start IS NULL)
)
RETURNING step.id
