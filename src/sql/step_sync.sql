-- name: step_sync
-- The function of a sync trigger and the states of its triggers on a table (`O` fires, `A` for replicated rows,
-- too, `D` is disabled); and whether a subscription feeds the table.
SELECT p.prosrc AS body,
       (SELECT coalesce(array_agg(t.tgenabled::text), '{}')
        FROM pg_trigger AS t
        WHERE t.tgrelid = $1 AND t.tgname::text = ANY ($3::text[]) AND NOT t.tgisinternal) AS states,
       EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = $1) AS subscribed
FROM (VALUES ($2::text)) AS wanted (name)
LEFT JOIN pg_proc AS p ON p.proname::text = wanted.name AND p.pronamespace = to_regnamespace('pgbackfill')::oid
