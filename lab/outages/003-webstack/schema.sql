-- A shop's web stack: parcels, and quotes for sending them.
create table parcel (
    id int primary key,
    weight_g int not null,
    to_zone int not null
);
create table quote (
    id bigserial primary key,
    parcel_id int not null references parcel,
    cents int,
    at timestamptz not null default now()
);
create index quote_parcel on quote (parcel_id, id);

insert into parcel select i, i % 20000, i % 8 from generate_series(1, 5000) i;
