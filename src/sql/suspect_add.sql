-- name: suspect_add
-- In the transaction of the batch that has read them. More than $5 of a run are not kept.
INSERT INTO pgbackfill.suspect (run, leaf, range, key, what, row_version)
SELECT $1, $2, $3, found.key, found.what, found.version
FROM jsonb_to_recordset($4::text::jsonb) AS found (key text[], what text, version text)
LIMIT greatest($5 - (SELECT count(*) FROM pgbackfill.suspect WHERE run = $1), 0)
ON CONFLICT DO NOTHING
