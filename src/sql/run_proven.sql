-- name: run_proven
SELECT proven, proof
FROM pgbackfill.run
WHERE id = $1
