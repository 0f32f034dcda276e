-- name: forget_key
-- One row of a job's table, in each of the spellings of its key (JSON arrays in an array), out of the quarantine, the
-- rows that verifications have found, and those that an undo has left; gives how many entries there were.
WITH runs AS (
    SELECT id FROM pgbackfill.run WHERE job = $1
), keys AS (
    SELECT ARRAY(SELECT jsonb_array_elements_text(key)) AS key FROM jsonb_array_elements($2::text::jsonb) AS spelled (key)
), bad AS (
    DELETE FROM pgbackfill.bad_row WHERE run IN (SELECT id FROM runs) AND key IN (SELECT key FROM keys) RETURNING 1
), suspects AS (
    DELETE FROM pgbackfill.suspect WHERE run IN (SELECT id FROM runs) AND key IN (SELECT key FROM keys) RETURNING 1
), put_back AS (
    DELETE FROM pgbackfill.undo_left WHERE run IN (SELECT id FROM runs) AND key IN (SELECT key FROM keys) RETURNING 1
)
SELECT (SELECT count(*) FROM bad) + (SELECT count(*) FROM suspects) + (SELECT count(*) FROM put_back) AS entries
