-- The tables that the example scenario asks.
CREATE TABLE products (id int PRIMARY KEY, price int NOT NULL, stock int NOT NULL);
INSERT INTO products SELECT n, n % 90 + 10, 1000000 FROM generate_series(1, 1000) n;
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, product int NOT NULL, paid int NOT NULL);
