-- The main service: accounts, their payments, a catalogue.
create table account (
    id int primary key,
    name text not null
);
create table payment (
    id bigserial primary key,
    account_id int not null references account,
    cents int not null,
    at timestamptz not null default now()
);
create index payment_account on payment (account_id, id);
create table article (
    id int primary key,
    name text not null,
    cents int not null
);

insert into account select i, 'account ' || i from generate_series(1, 1000) i;
insert into payment (account_id, cents) select i % 1000 + 1, i % 5000 from generate_series(1, 10000) i;
insert into article select i, md5(i::text), i % 5000 from generate_series(1, 2000) i;
