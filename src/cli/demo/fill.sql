INSERT INTO orders (id, customer_id, status, total, note, created_at)
SELECT
    i,
    i * 7919 % 100000,
    i % 3,
    i % 100000 / 100.0,
    rpad('order ' || i, 60, '.'),
    now() - i * interval '1 second'
FROM generate_series(1::bigint, $1::bigint) AS i
