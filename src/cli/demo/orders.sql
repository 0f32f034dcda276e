CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint,
    status int,
    total numeric(12, 2),
    note text,
    created_at timestamptz,
    status_v2 text,
    backfilled int NOT NULL DEFAULT 0
);
CREATE INDEX orders_customer_id ON orders (customer_id);
