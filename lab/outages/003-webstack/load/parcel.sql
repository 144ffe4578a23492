\set id random(1, 5000)
begin;
select id, weight_g, to_zone from parcel where id = :id;
select cents, at from quote where parcel_id = :id order by id desc limit 5;
commit;
