-- name: run_latest
-- The latest run of this kind; of NULL the one that a person means: the latest that is no backfill and not at its
-- end, else the latest backfill. A control schema of a version before has no other kind.
SELECT r.id, r.job, r.fingerprint, r.definition, r.job_text, r.state, r.reason, r.knobs::text, r.target, r.target_name, r.key::text,
       r.settings::text, r.protocol, r.system_identifier, known.kind, (to_jsonb(r) ->> 'of_run')::bigint AS of_run,
       coalesce((to_jsonb(r) ->> 'keeps_old')::boolean, false) AS keeps_old
FROM pgbackfill.run AS r
CROSS JOIN LATERAL (SELECT coalesce(to_jsonb(r) ->> 'kind', 'backfill') AS kind) AS known
WHERE r.job = $1
AND ($2::text IS NULL OR known.kind = $2)
ORDER BY $2::text IS NULL AND known.kind <> 'backfill' AND r.state IN ('cancelled', 'complete'), r.id DESC
LIMIT 1
