-- name: proof_lock
-- One worker of a run at a time looks for rows that were missed; the key is a constant of ours and the run.
SELECT pg_try_advisory_xact_lock(hashtext('pgbackfill.proof'), ($1::bigint & 2147483647)::int)
