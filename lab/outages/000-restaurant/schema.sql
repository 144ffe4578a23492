-- A restaurant platform: staff who log in, orders, and what the kitchen has to do for them.
create table staff (
    id int primary key,
    name text not null,
    -- One password for all, as Django stores it.
    password text not null
);
create table login (
    id bigserial primary key,
    staff_id int not null references staff,
    at timestamptz not null default now()
);
create table orders (
    id bigserial primary key,
    restaurant int not null,
    dish int not null,
    at timestamptz not null default now()
);
create table task (
    id bigserial primary key,
    order_id bigint not null references orders,
    restaurant int not null,
    what text not null,
    done boolean not null default false
);
create index task_open on task (restaurant, id) where not done;

insert into staff
select i, 'staff ' || i, 'pbkdf2_sha256$2000$lab$tUeDTUHz3Nf+KuCkrzFLsDtTqZL3REbhaRqNxDV8g2s='
from generate_series(1, 1000) i;
