-- Three tables of Northwind, with what the demo needs of them: a refresh follows the foreign keys.
create table customers (
    customer_id varchar(5) primary key,
    company_name varchar(40) not null,
    contact_name varchar(30),
    contact_title varchar(30),
    address varchar(60),
    city varchar(15),
    region varchar(15),
    postal_code varchar(10),
    country varchar(15),
    phone varchar(24),
    fax varchar(24)
);
create table orders (
    order_id integer primary key,
    customer_id varchar(5) not null references customers,
    order_date date not null,
    shipped_date date,
    freight numeric(10, 2) not null,
    ship_city varchar(15),
    ship_country varchar(15)
);
create index on orders (customer_id);
create table order_details (
    order_id integer not null references orders,
    product_id integer not null,
    unit_price numeric(10, 2) not null,
    quantity integer not null,
    discount numeric(4, 2) not null,
    primary key (order_id, product_id)
);
