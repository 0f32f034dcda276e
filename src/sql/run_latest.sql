-- name: run_latest
SELECT id, job, fingerprint, definition, job_text, state, reason, knobs::text, target, target_name, key::text, settings::text,
       protocol, system_identifier
FROM pgbackfill.run
WHERE job = $1
ORDER BY id DESC
LIMIT 1
