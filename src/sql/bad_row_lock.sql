-- name: bad_row_lock
-- The row lock is the lease: who has it runs the row again. As for a range, the table has to be the one that
-- was planned.
SELECT run.state AS run_state,
       l.relation = to_regclass($4)::oid AS same_relation,
       l.relation = run.target
           OR run.target IN (SELECT relid FROM pg_partition_ancestors(l.relation::regclass)) AS attached,
       NOT row_security_active(l.relation) AS every_row,
       l.shape = coalesce((SELECT string_agg(concat_ws(' ', a.attname, a.atttypid::regtype, a.attcollation), ', ' ORDER BY a.attname)
                           FROM pg_attribute AS a
                           WHERE a.attrelid = l.relation
                           AND a.attname = ANY ($5::text[])), '') AS same_shape
FROM pgbackfill.bad_row AS b
JOIN pgbackfill.leaf AS l ON l.run = b.run AND l.number = b.leaf
JOIN pgbackfill.run ON run.id = b.run
WHERE b.run = $1
AND b.leaf = $2
AND b.key = $3
