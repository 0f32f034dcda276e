-- name: version_lock
-- Two processes that come first at the same moment install the schema one after the other.
SELECT pg_advisory_xact_lock(7291835120385141)
