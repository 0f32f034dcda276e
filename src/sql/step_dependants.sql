-- name: step_dependants
-- What depends on a column. `vanishes`: it goes with the column without being asked for; else it keeps the column,
-- or goes on showing it under another name. Triggers of ours ($3) aside.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS dependant,
       d.classid IN ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_statistic_ext'::regclass) AS vanishes
FROM pg_depend AS d
JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
LEFT JOIN pg_trigger AS t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
LEFT JOIN pg_attrdef AS f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
LEFT JOIN pg_constraint AS n ON d.classid = 'pg_constraint'::regclass AND n.oid = d.objid
LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
WHERE d.refclassid = 'pg_class'::regclass
AND d.refobjid = $1
AND a.attname = $2
AND d.deptype IN ('n', 'a', 'i')
AND (t.tgname IS NULL OR t.tgname::text <> ALL ($3::text[]))
-- Its own default, its own NOT NULL, and its own sequence.
AND (f.adnum IS NULL OR f.adnum <> a.attnum)
AND (n.contype IS NULL OR n.contype <> 'n')
AND (c.relkind IS NULL OR c.relkind <> 'S')
ORDER BY 2, 1
