-- name: undo_arrays
-- The arrays of a table of kept values, in their order.
SELECT array_agg(attname::text ORDER BY attnum) AS arrays
FROM pg_attribute
WHERE attrelid = to_regclass($1)
AND attnum > 2
AND NOT attisdropped
