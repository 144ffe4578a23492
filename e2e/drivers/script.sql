\set ON_ERROR_STOP on
drop table if exists psql_items;
create table psql_items (id int primary key, name text);
\copy psql_items from pstdin
1	one
2	two
\.
\copy (select * from psql_items order by id) to pstdout
begin;
insert into psql_items values (3, 'three') returning *;
savepoint a;
\set ON_ERROR_STOP off
insert into psql_items values (3, 'again');
\set ON_ERROR_STOP on
rollback to a;
commit;
\d psql_items
select * from psql_items order by id \gx
select 'select ' || i from generate_series(1, 3) i \gexec
select count(*) as n from psql_items \gset
\echo :n rows
prepare p (int) as select name from psql_items where id = $1;
execute p(2);
deallocate p;
\set FETCH_COUNT 10
select generate_series(1, 35);
\unset FETCH_COUNT
set timezone = 'Asia/Tokyo';
show timezone;
do $$ begin raise notice 'a notice'; end $$;
copy psql_items to stdout csv header;
drop table psql_items;
