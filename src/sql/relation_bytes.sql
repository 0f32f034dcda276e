-- name: relation_bytes
-- What tables take on the disk, with their indexes: $1 their object ids.
SELECT coalesce(sum(pg_total_relation_size(r.oid)), 0)::bigint AS bytes
FROM unnest($1::oid[]) AS r (oid)
