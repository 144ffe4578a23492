#!/bin/sh
# psql: what of the checklist of README.md it has, and its own commands. It knows libpq's variables; $1 is psql.
psql=$1
place=$(mktemp -d)
trap 'rm -r "$place"' EXIT

# Runs psql with the rest of the words, says what it says, and interrupts it once, as Ctrl-C does, at a line that begins
# with $1: where nobody types, psql ends then. Further such lines are not told: how many come is a matter of time.
interrupted() {
  at=$1
  shift
  mkfifo "$place/out"
  "$psql" -X -q -A -t "$@" >"$place/out" 2>&1 </dev/null &
  pid=$!
  sent=
  while read -r line; do
    case $line in
      "$at"*)
        [ -n "$sent" ] || { sent=1; echo "$at"; kill -INT "$pid"; } ;;
      *) echo "$line" ;;
    esac
  done <"$place/out"
  wait "$pid"
  rm "$place/out"
}

"$psql" -X -q 2>&1 <<'SQL'
\pset format unaligned
\set VERBOSITY verbose
\t on
select 'connected as ' || current_user;
\t off
set client_min_messages = warning;
drop table if exists checklist_psql;
reset client_min_messages;
create table checklist_psql (id int primary key, name text);
prepare sum (int, int) as select $1 + $2 as "prepared ";
execute sum(1, 2);
execute sum(2, 2);
execute sum(3, 2) \gx
deallocate sum;
select 1 as one, 2 as two \gset got_
\echo gset :got_one :got_two
select 'select ' || n || ' * 2' from generate_series(1, 3) n \gexec
select 1 \; select 2 \; select 1 / 0 \; select 3;
\echo :SQLSTATE :ERROR :LAST_ERROR_MESSAGE
select id, name from checklist_psql \gdesc
select n % 2 as odd, n % 3 as third, count(*) from generate_series(1, 10) n group by 1, 2 order by 1, 2 \crosstabview
\copy checklist_psql from program 'seq 1000 | sed "s/.*/&\tname &/"'
\copy (select * from checklist_psql order by id) to program 'wc -l -c'
copy checklist_psql from stdin;
1	again
\.
copy (select * from checklist_psql where id < 3 order by id) to stdout (format csv, header);
begin;
insert into checklist_psql values (5000, 'kept');
savepoint a;
insert into checklist_psql values (5000, 'again');
select 1;
rollback to a;
commit;
\set ON_ERROR_ROLLBACK on
begin;
insert into checklist_psql values (5001, 'kept, too');
insert into checklist_psql values (5000, 'again');
commit;
\set ON_ERROR_ROLLBACK off
\set AUTOCOMMIT off
insert into checklist_psql values (5002, 'gone');
rollback;
\set AUTOCOMMIT on
select name from checklist_psql where id >= 5000 order by id;
selekt 1;
\errverbose
do $$ begin raise notice 'a notice' using detail = 'its detail', hint = 'its hint'; end $$;
\t on
select 'large ' || count(*) || ' rows ' || sum(length(x)) || ' bytes' from (select repeat('x', 262144) as x from generate_series(1, 64)) rows;
\set FETCH_COUNT 8
select repeat('x', 262144) from generate_series(1, 64) \g |wc -l -c
\unset FETCH_COUNT
\copy (select repeat('x', 262144) from generate_series(1, 64)) to program 'wc -l -c'
\t off
\d checklist_psql
\c -reuse-previous=on
set statement_timeout = 100;
select pg_sleep(60);
reset statement_timeout;
select 'and goes on' as word;
SQL

echo cancel
# In which of the two statements it is met is a matter of time.
interrupted NOTICE -v SHOW_CONTEXT=never -c "do \$\$ begin raise notice 'running'; perform pg_sleep(60); end \$\$"
echo watch
echo "select 'tick' \\watch 0.05" >"$place/watch"
interrupted tick -f "$place/watch" | grep tick
echo copy
# How much of the rows has come by then is a matter of time, too.
interrupted row -c "copy (select 'row', repeat('x', 9000), pg_sleep(case n when 20 then 60 else 0 end) from generate_series(1, 20) n) to stdout" |
  grep -o 'ERROR.*'
