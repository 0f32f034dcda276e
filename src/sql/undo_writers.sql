-- name: undo_writers
-- Who else may write to the control schema's ranges, and so may take part in a run, each quoted.
SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee
FROM pg_class
CROSS JOIN LATERAL aclexplode(relacl) AS acl
WHERE pg_class.oid = to_regclass('pgbackfill.range')
AND acl.privilege_type = 'UPDATE'
AND pg_get_userbyid(acl.grantee) IS DISTINCT FROM current_user::name
