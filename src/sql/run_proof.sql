-- name: run_proof
UPDATE pgbackfill.run
SET proven = $2,
    proof = $3
WHERE id = $1
