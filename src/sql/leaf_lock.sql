-- name: leaf_lock
-- Nothing is planned in it meanwhile; a batch goes on, and so does what refers to it.
SELECT l.scan,
       l.filenode IS NOT NULL AND l.filenode IS DISTINCT FROM pg_relation_filenode(l.relation) AS is_rewritten,
       (SELECT r.state FROM pgbackfill.run AS r WHERE r.id = l.run) AS run_state
FROM pgbackfill.leaf AS l
WHERE l.run = $1
AND l.number = $2
FOR NO KEY UPDATE OF l
