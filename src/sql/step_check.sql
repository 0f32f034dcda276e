-- name: step_check
-- A constraint of this name, and whether it holds for every row.
SELECT contype::text AS type,
       convalidated AS valid,
       coalesce((to_jsonb(pg_constraint) ->> 'conenforced')::bool, true) AS enforced,
       regexp_replace(pg_get_constraintdef(oid), ' NOT VALID$', '') AS definition
FROM pg_constraint
WHERE conrelid = $1
AND conname = $2
