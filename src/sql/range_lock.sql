-- name: range_lock
-- The row lock is the lease; what it finds decides, not what the worker remembers.
SELECT r.stripe,
       r.cursor,
       r.state,
       -- A range that a crash or a failover has lost may have been planned anew under its number, and
       -- otherwise.
       r.lo,
       r.hi,
       r.stripes,
       r.stripe_shift,
       -- A pooler may lead a connection to a standby that was promoted, and never tell.
       ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int AS timeline,
       run.state AS run_state,
       -- The counter runs on over transactions until it is flushed, so what this one adds is a difference.
       pg_stat_get_xact_tuples_hot_updated(l.relation) AS hot_before,
       l.relation = to_regclass($3)::oid AS same_relation,
       -- The values that a run has kept are walked in the place of the table that they are of.
       l.relation = run.target OR (l.schema = 'pgbackfill' AND starts_with(l.name, 'undo_'))
           OR run.target IN (SELECT relid FROM pg_partition_ancestors(l.relation::regclass)) AS attached,
       NOT row_security_active(l.relation) AS every_row,
       l.shape = coalesce((SELECT string_agg(concat_ws(' ', a.attname, a.atttypid::regtype, a.attcollation), ', ' ORDER BY a.attname)
                           FROM pg_attribute AS a
                           WHERE a.attrelid = l.relation
                           AND a.attname = ANY ($4::text[])), '') AS same_shape,
       -- Marks of a walk by block are of one file. The lock of the table is held, so that it stays the same.
       l.filenode IS NULL OR l.filenode = pg_relation_filenode(l.relation) AS same_file
FROM pgbackfill.range AS r
JOIN pgbackfill.leaf AS l ON l.run = r.run AND l.number = r.leaf
JOIN pgbackfill.run ON run.id = r.run
WHERE r.run = $1
AND r.number = $2
