\set product random_zipfian(1, :products, 1.1)
BEGIN;
UPDATE products SET stock = stock - 1 WHERE id = :product;
-- What the application does between two statements holds the connection too.
\sleep 2 ms
INSERT INTO orders (product, paid) SELECT id, price FROM products WHERE id = :product;
COMMIT;
