"""A double that nothing compares with the real thing proves nothing (docs/decisions/0007)."""

import ast
import inspect
import pkgutil
from importlib import import_module

import chassis.testing
from tests.support.paths import PROJECT


def test_every_double_takes_part_in_a_contract_suite() -> None:
    doubles = {
        name
        for module in pkgutil.iter_modules(chassis.testing.__path__)
        for name, found in inspect.getmembers(
            import_module(f"chassis.testing.{module.name}"), inspect.isclass
        )
        if found.__module__ == f"chassis.testing.{module.name}" and not name.startswith("_")
    }
    used = {
        node.id
        for path in (PROJECT / "tests/contract").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Name)
    }
    assert doubles
    assert doubles - used == set()
