-- name: step_foreign
-- The foreign keys of this name, or of this column alone: where each points to, and what it says behind that name.
SELECT conname::text AS name,
       confrelid AS referenced,
       convalidated AS valid,
       coalesce((to_jsonb(pg_constraint) ->> 'conenforced')::bool, true) AS enforced,
       conkey = ARRAY[(SELECT attnum FROM pg_attribute WHERE attrelid = $1 AND attname = $3)] AS of_the_column,
       regexp_replace(
           regexp_replace(pg_get_constraintdef(oid), '^.* REFERENCES ("([^"]|"")*"|[^"(. ]+)([.]("([^"]|"")*"|[^"(. ]+))?', ''),
           ' NOT VALID$', '') AS definition
FROM pg_constraint
WHERE conrelid = $1
AND contype = 'f'
AND (conname = $2 OR conkey = ARRAY[(SELECT attnum FROM pg_attribute WHERE attrelid = $1 AND attname = $3)])
ORDER BY conname = $2 DESC, conname
