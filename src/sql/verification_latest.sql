-- name: verification_latest
-- The latest verification of the latest backfill of a job that has ended; or the one of this run.
SELECT v.run, v.of_run, v.expressions, v.compared, v.sync IS NOT NULL AS in_step, v.rows, v.rows_later, v.mismatches, v.moving,
       v.unlisted, v.bad_rows, v.verified,
       to_char(v.began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS began_at,
       to_char(v.ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS ended_at,
       v.began_lsn::text AS began_lsn,
       v.ended_lsn::text AS ended_lsn
FROM pgbackfill.verification AS v
WHERE v.ended_at IS NOT NULL
AND (v.run = $2 OR v.of_run = (
    SELECT id FROM pgbackfill.run WHERE job = $1 AND kind = 'backfill' AND $2 IS NULL ORDER BY id DESC LIMIT 1))
ORDER BY v.run DESC
LIMIT 1
