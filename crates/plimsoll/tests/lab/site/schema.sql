create table pages (id int primary key);
insert into pages select generate_series(1, 3);
