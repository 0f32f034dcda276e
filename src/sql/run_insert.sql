-- name: run_insert
INSERT INTO pgbackfill.run (job, fingerprint, definition, job_text, knobs, target, target_name, key, settings, protocol,
                            system_identifier, timeline, created_by, kind, of_run)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8::text::jsonb, $9::text::jsonb, $10, $11, $12, $13, $14, $15)
RETURNING id
