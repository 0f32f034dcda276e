-- name: step_copy
-- The empty copy: its file, and what of its constraints is more than NOT NULL.
SELECT pg_relation_filenode(c.oid) AS file,
       c.oid AS relation,
       (SELECT string_agg(pg_get_constraintdef(oid), ', ') FROM pg_constraint
        WHERE conrelid = c.oid AND contype <> 'n') AS constraints
FROM pg_class AS c
WHERE c.oid = to_regclass('pg_temp.pgbackfill_copy')::oid
