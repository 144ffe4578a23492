\set product random_zipfian(1, :products, 1.1)
SELECT price, stock FROM products WHERE id = :product;
