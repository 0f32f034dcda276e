-- name: run_list
SELECT id, job, coalesce(to_jsonb(run) ->> 'kind', 'backfill') AS kind, state, reason, target_name,
       to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS created_at,
       created_by,
       to_char(state_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS state_at,
       knobs::text
FROM pgbackfill.run
WHERE $1::text IS NULL OR job = $1
ORDER BY id DESC
