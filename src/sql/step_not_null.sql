-- name: step_not_null
-- NOT NULL of a column: from version 18 on a constraint that can be not valid, with a name. No row where there
-- is no such column.
SELECT a.attnotnull AS marked,
       coalesce((c.constraints ->> 'convalidated')::bool, a.attnotnull) AS valid,
       c.constraints ->> 'conname' AS name
FROM pg_attribute AS a
LEFT JOIN (
    SELECT to_jsonb(pg_constraint) AS constraints, conrelid, conkey
    FROM pg_constraint
    WHERE contype = 'n'
) AS c ON c.conrelid = a.attrelid AND c.conkey = ARRAY[a.attnum]
WHERE a.attrelid = $1
AND a.attname = $2
AND NOT a.attisdropped
AND a.attnum > 0
