-- name: step_reads
-- The columns of the empty copy that the view on it reads, and whether it reads the table itself, too.
SELECT (SELECT coalesce(array_agg(DISTINCT a.attname::text), '{}')
        FROM pg_depend AS d
        JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_rewrite'::regclass
        AND d.objid = r.oid
        AND d.refclassid = 'pg_class'::regclass
        AND d.refobjid = to_regclass('pg_temp.pgbackfill_copy')::oid
        AND d.refobjsubid > 0) AS columns,
       EXISTS (
           SELECT FROM pg_depend AS d
           WHERE d.classid = 'pg_rewrite'::regclass
           AND d.objid = r.oid
           AND d.refclassid = 'pg_class'::regclass
           AND d.refobjid = $1
       ) AS reads_itself
FROM pg_rewrite AS r
WHERE r.ev_class = to_regclass('pg_temp.pgbackfill_reads')::oid
