-- name: step_sync
-- The function of a sync trigger and the states of its triggers on these tables (`O` fires, `A` for replicated
-- rows, too, `D` is disabled); whether a subscription feeds one of them; another table that uses the function; who
-- owns the first of the tables, unless we are that role; and schemas on the path of the settings ($4) in which
-- everybody may make functions, which the trigger would call instead of those that are meant.
SELECT p.prosrc AS body,
       (SELECT coalesce(array_agg(t.tgenabled::text), '{}')
        FROM pg_trigger AS t
        WHERE t.tgrelid = ANY ($1::oid[]) AND t.tgname::text = ANY ($3::text[])) AS states,
       EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = ANY ($1::oid[])) AS subscribed,
       (SELECT t.tgrelid::regclass::text FROM pg_trigger AS t
        WHERE t.tgfoid = p.oid AND t.tgrelid <> ALL ($1::oid[]) LIMIT 1) AS used_by,
       (SELECT pg_get_userbyid(c.relowner)::text FROM pg_class AS c
        WHERE c.oid = ($1::oid[])[1] AND pg_get_userbyid(c.relowner) <> current_user
        AND current_setting('is_superuser')::bool) AS other_owner,
       -- As a superuser makes it, it is to be the table owner's.
       coalesce((SELECT p.proowner = c.relowner OR NOT current_setting('is_superuser')::bool FROM pg_class AS c
                 WHERE c.oid = ($1::oid[])[1]), false) AS owned,
       (SELECT string_agg(quote_ident(n.nspname), ', ') FROM pg_namespace AS n
        WHERE quote_ident(n.nspname) = ANY (string_to_array($4, ', '))
        AND has_schema_privilege('public', n.oid, 'CREATE')) AS open_schemas
FROM (VALUES ($2::text)) AS wanted (name)
LEFT JOIN pg_proc AS p ON p.proname::text = wanted.name AND p.pronamespace = to_regnamespace('pgbackfill')::oid
