-- name: step_foreign
-- A foreign key of this name: where it points to, and what it says behind that name.
SELECT confrelid AS referenced,
       convalidated AS valid,
       coalesce((to_jsonb(pg_constraint) ->> 'conenforced')::bool, true) AS enforced,
       conkey = ARRAY[(SELECT attnum FROM pg_attribute WHERE attrelid = $1 AND attname = $3)] AS of_the_column,
       regexp_replace(
           regexp_replace(pg_get_constraintdef(oid), '^.* REFERENCES ("([^"]|"")*"|[^"(. ]+)([.]("([^"]|"")*"|[^"(. ]+))?', ''),
           ' NOT VALID$', '') AS definition
FROM pg_constraint
WHERE conrelid = $1
AND conname = $2
AND contype = 'f'
