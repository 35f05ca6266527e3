-- A production and a test database for the refresher to work between; nothing else uses them.
create role shop_reader login password 'local-demo';
create role shop_writer login password 'local-demo';
create database shop;
create database shop_uat owner shop_writer;
\connect shop
create table countries (code text primary key, name text not null);
create table orders (
    id integer primary key,
    reference text not null,
    status text not null,
    email text not null,
    amount numeric(12, 2) not null,
    changed_at timestamptz not null default now()
);
insert into countries values ('AT', 'Austria'), ('KE', 'Kenya'), ('US', 'United States');
insert into orders (id, reference, status, email, amount)
select n, 'ORDER-' || n, 'paid', 'buyer' || n || '@example.org', n * 1.5
from generate_series(1, 1000) as n;
grant connect on database shop to shop_reader;
grant select on all tables in schema public to shop_reader;
alter role shop_reader set default_transaction_read_only = on;
\connect shop_uat
create table countries (code text primary key, name text not null);
create table orders (
    id integer primary key,
    reference text not null,
    status text not null,
    email text not null,
    amount numeric(12, 2) not null,
    changed_at timestamptz not null default now()
);
alter table countries owner to shop_writer;
alter table orders owner to shop_writer;
