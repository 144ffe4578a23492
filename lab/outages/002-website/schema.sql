-- A website: articles, who read them, and a search through all their texts.
-- The server cancels what takes long; not the filling of the tables.
set statement_timeout = 0;

create table article (
    id int primary key,
    title text not null,
    body text not null
);
create table visit (
    id bigserial primary key,
    article_id int not null,
    at timestamptz not null default now()
);

insert into article
select i, 'article ' || i, (select string_agg(md5((i * 31 + j)::text), ' ') from generate_series(1, 40) j)
from generate_series(1, 5000) i;
