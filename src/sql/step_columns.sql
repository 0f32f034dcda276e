-- name: step_columns
-- What a column is, in words that can be compared; no row where there is none.
SELECT format_type(a.atttypid, a.atttypmod)
           || coalesce(' COLLATE ' || quote_ident(collation_name.collname), '')
           || CASE WHEN a.attgenerated <> '' THEN ' GENERATED' ELSE '' END
           || CASE WHEN a.attidentity <> '' THEN ' IDENTITY' ELSE '' END AS definition,
       format_type(a.atttypid, a.atttypmod) AS type_name,
       pg_type.typtype = 'd' AS domain,
       a.attnotnull AS not_null,
       (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = a.attrelid AND adnum = a.attnum) AS default_value,
       a.attgenerated <> '' AS generated,
       -- One that is the same for every row calls nothing.
       CASE WHEN a.attgenerated = '' THEN
           (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
            WHERE adrelid = a.attrelid AND adnum = a.attnum AND pg_get_expr(adbin, adrelid) !~ '[(]')
       END AS constant
FROM pg_attribute AS a
JOIN pg_type ON pg_type.oid = a.atttypid
LEFT JOIN pg_collation AS collation_name ON collation_name.oid = a.attcollation AND a.attcollation <> pg_type.typcollation
WHERE a.attrelid = $1
AND a.attname = $2
AND NOT a.attisdropped
AND a.attnum > 0
