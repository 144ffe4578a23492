\set id random(1, 5000)
begin;
select id, weight_g, to_zone from parcel where id = :id;
\sleep 800 ms
insert into quote (parcel_id, cents) values (:id, 500);
commit;
