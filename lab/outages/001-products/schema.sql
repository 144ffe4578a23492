-- A shop's product pages: products, what is in stock, and who looked at what.
create table product (
    id int primary key,
    name text not null,
    description text not null
);
create table stock (
    product_id int primary key references product,
    pieces int not null
);
create table look (
    id bigserial primary key,
    product_id int not null,
    at timestamptz not null default now()
);

insert into product select i, 'product ' || i, repeat(md5(i::text), 5) from generate_series(1, 2000) i;
insert into stock select i, i % 90 from generate_series(1, 2000) i;
