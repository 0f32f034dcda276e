-- name: step_list
-- The steps of a job, in the order in which they were begun.
SELECT id, phase, kind, name, definition, state, made_by, adopted, tries, stood_ms, held_ms, waits_for,
       extract(epoch FROM clock_timestamp() - seen_at)::float8 AS silent_s,
       to_char(coalesce(done_at, began_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at,
       extract(epoch FROM clock_timestamp() - done_at)::float8 AS done_s_ago
FROM pgbackfill.step
WHERE job = $1
ORDER BY id
