-- name: undo_compression
-- Whether the server has a faster compression than its default: from version 14 on, if it was built with it.
SELECT coalesce((SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression'), false) AS has_lz4
