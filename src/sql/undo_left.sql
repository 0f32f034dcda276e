-- name: undo_left
-- How many rows an undo has left as they are, and why.
SELECT count(*) FILTER (WHERE why = 'changed') AS changed,
       count(*) FILTER (WHERE why = 'gone') AS gone
FROM pgbackfill.undo_left
WHERE run = $1
