-- name: step_type
-- The labels of an enum type of this name in this schema; none where the name stands for another sort of type.
SELECT (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid) AS labels
FROM pg_type AS t
JOIN pg_namespace AS n ON n.oid = t.typnamespace
WHERE n.nspname::text = $1
AND t.typname::text = $2
