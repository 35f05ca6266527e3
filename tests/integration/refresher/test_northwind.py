"""Northwind, refreshed nightly-style: keys that are themselves masked, and rows that come and
go."""

from collections.abc import AsyncGenerator

import pytest

from tests.integration.refresher.conftest import Open
from tests.integration.refresher.estate import Estate, load_northwind, tables_config
from tests.integration.refresher.hub import Hub

TABLES = (
    *("categories", "customer_customer_demo", "customer_demographics", "customers", "employees"),
    *("employee_territories", "order_details", "orders", "products", "region", "shippers"),
    *("suppliers", "territories", "us_states"),
)
MASKED = {"customers", "employees", "orders", "suppliers", "shippers", "customer_customer_demo"}
MASKING = {
    "classes": {
        "public": {"method": "keep"},
        "customer": {"method": "shape"},
        "person": {"method": "shape"},
        "birthday": {"method": "day"},
    },
    "rules": [
        {"columns": ["*.customer_id"], "class": "customer"},
        {
            "columns": ["*.contact_name", "*.last_name", "*.first_name", "*.phone"],
            "class": "person",
        },
        {"columns": ["orders.ship_address", "*.home_phone"], "class": "person"},
        {"columns": ["employees.photo", "employees.notes"], "class": "person"},
        {"columns": ["employees.birth_date"], "class": "birthday"},
        {"columns": ["*"], "class": "public"},
    ],
}
A_DAY_IN_PRODUCTION = (
    "insert into customers (customer_id, company_name) values ('PNSTK', 'A new customer')",
    "insert into orders (order_id, customer_id, employee_id) values (20000, 'PNSTK', 1)",
    "insert into order_details values (20000, 1, 10, 3, 0)",
    "update products set unit_price = unit_price * 1.1 where category_id = 1",
    "update orders set ship_address = 'Moved 7' where order_id = 10300",
    "delete from order_details where order_id = 10248",
    "delete from orders where order_id = 10248",
)
ORDERS_OF_CUSTOMERS = (
    "select count(*), count(distinct c.company_name) from orders o join customers c "
    "using (customer_id)"
)


@pytest.fixture
async def hub(estate: Estate, opening: Open) -> AsyncGenerator[Hub]:
    await load_northwind(estate.production_url)
    await load_northwind(estate.uat_url)
    # The testers have a state of their own.
    await estate.uat_does(
        "delete from order_details where quantity > 50", "update products set product_name = 'x'"
    )
    async with opening(tables_config(TABLES), masking=MASKING) as opened:
        yield opened


async def assert_alike(estate: Estate) -> None:
    """UAT has production's rows; masked keys still lead where they led."""
    production = await estate.everything(estate.production_url)
    uat = await estate.everything(estate.uat_url)
    assert {name: uat[name] for name in TABLES if name not in MASKED} == {
        name: production[name] for name in TABLES if name not in MASKED
    }
    assert {name: uat[name][0] for name in TABLES} == {name: production[name][0] for name in TABLES}
    assert await estate.rows(estate.uat_url, ORDERS_OF_CUSTOMERS) == await estate.rows(
        estate.production_url, ORDERS_OF_CUSTOMERS
    )


@pytest.mark.covers("S4-01", "S4-06", "C-30")
async def test_two_nights_and_a_morning_after(hub: Hub) -> None:
    estate = hub.estate
    before = await estate.everything(estate.uat_url)
    first = await hub.refresh()
    await assert_alike(estate)
    keys = "select customer_id from customers"
    assert not {*await estate.rows(estate.uat_url, keys)} & {
        *await estate.rows(estate.production_url, keys)
    }
    photo = "select length(photo), notes, birth_date from employees order by employee_id"
    pairs = zip(
        await estate.rows(estate.production_url, photo),
        await estate.rows(estate.uat_url, photo),
        strict=True,
    )
    for (size, notes, born), (masked_size, masked_notes, masked_born) in pairs:
        assert (masked_size, len(masked_notes)) == (size, len(notes))
        assert masked_notes != notes
        assert (masked_born != born, masked_born.year) == (True, born.year)

    between = await estate.everything(estate.uat_url)
    await estate.production_does(*A_DAY_IN_PRODUCTION)
    second = await hub.refresh()
    await assert_alike(estate)
    changed = second["counts"]
    assert (changed["new"], changed["deleted"]) == (3, 4)
    assert changed["changed"] == 13

    await hub.undo(second)
    assert await estate.everything(estate.uat_url) == between
    await hub.undo(first)
    assert await estate.everything(estate.uat_url) == before
