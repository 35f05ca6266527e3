"""Logging on and off, with a password."""

import re
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher

from chassis.db import Database
from chassis.errors import SettingsError
from console.domain.roles import Role
from console.handlers.login import WINDOW
from console.settings import read_users_file
from tests.integration.console.browser import (
    ORIGIN,
    SITE,
    Console,
    open_console,
    read_settings,
    visible,
)

_PASSWORD = "correct horse battery"


async def _log_in(client: httpx.AsyncClient, name: str, password: str) -> httpx.Response:
    form = await client.get("/login?next=/runs")
    token = re.search(r'name="csrf" value="(\w+)"', form.text)
    assert token is not None
    fields = {"csrf": token[1], "name": name, "password": password, "next": "/runs"}
    return await client.post("/login", data=fields, headers={"Origin": ORIGIN})


async def _change(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    token = re.search(r'name="csrf" value="(\w+)"', (await client.get("/password")).text)
    assert token is not None
    return await client.post(
        "/password", data={"csrf": token[1], **fields}, headers={"Origin": ORIGIN}
    )


async def test_the_first_user_must_choose_a_password_before_anything_else(console: Console) -> None:
    password = await console.context.administer.prepare([])
    assert password is not None
    assert await console.context.administer.prepare([]) is None
    client = await console.anonymous()

    answer = await _log_in(client, "Admin ", password)

    assert (answer.status_code, answer.headers["location"]) == (303, "/runs")
    cookie = SimpleCookie(answer.headers["set-cookie"])[SITE.session_cookie]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "lax", "/")
    assert (await client.get("/runs")).headers["location"] == "/password"
    assert (await client.get("/api/v1/runs")).status_code == 403
    for wrong in ("short", "an-admin-password", "aaaaaaaaaaaaaaaa", password):
        answer = await _change(client, current=password, new=wrong, again=wrong)
        assert answer.status_code == 409, wrong
    answer = await _change(client, current=password, new=_PASSWORD, again=_PASSWORD)
    assert answer.status_code == 303
    assert (await client.get("/runs")).status_code == 200
    actions = [entry["action"] for entry in await console.audit()]
    assert actions == ["user.added", "login", "password.changed"]
    kept = str(await console.audit())
    assert password not in kept
    assert _PASSWORD not in kept


async def test_logging_out_ends_the_session_itself(console: Console) -> None:
    viewer = await console.login()
    assert (await viewer.post("/logout")).status_code == 303
    viewer.client.cookies.set(SITE.session_cookie, viewer.cookie, domain="127.0.0.1")
    assert (await viewer.get("/runs")).status_code == 303


async def test_guessing_is_stopped_for_a_name_and_for_an_address(console: Console) -> None:
    await _add_user(console, "ann")
    client = await console.anonymous()
    refusals = [visible((await _log_in(client, "ann", "wrong")).text) for _ in range(11)]
    assert all("Wrong name or password" in text for text in refusals[:10])
    assert "Too many attempts" in refusals[10]
    # The right password is not tried any more, or the answer would tell that it is right.
    assert "Too many attempts" in (await _log_in(client, "ann", _PASSWORD)).text

    for number in range(20):
        await console.context.login.attempts.take(f"n{number}", "192.0.2.7", window=WINDOW)
    assert "Too many attempts" in (await _log_in(client, "bea", "wrong")).text

    async with console.database.connection() as connection:
        await connection.execute(
            "update console.login_attempts set at = at - interval '16 minutes'"
        )
    assert (await _log_in(client, "ann", _PASSWORD)).status_code == 303
    assert [entry["action"] for entry in await console.audit()].count("login.failed") == 10


async def test_after_the_login_the_browser_stays_here(console: Console) -> None:
    client = await console.anonymous()
    for address in ("https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil"):
        page = (await client.get("/login", params={"next": address})).text
        assert 'name="next" value="/"' in page, address


async def test_users_may_stand_in_a_file(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    kept = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(_PASSWORD)
    file.write_text(f"users:\n  - {{name: ann, role: operator, password_hash: '{kept}'}}\n")
    settings = read_settings(CONSOLE_USERS_FILE=str(file)).web
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="everybody may read it"):
        read_users_file(settings)
    file.chmod(0o600)
    async with open_console(database) as console:
        assert await console.context.administer.prepare(read_users_file(settings)) is None
        client = await console.anonymous()
        assert (await _log_in(client, "ann", _PASSWORD)).status_code == 303
        answer = await _change(
            client, current=_PASSWORD, new="another good one", again="another good one"
        )
        assert "not kept here" in answer.text

        await console.context.administer.prepare([])
        assert (await _log_in(client, "ann", _PASSWORD)).status_code == 401


async def test_the_last_administrator_stays_one(console: Console) -> None:
    admin = await console.login(Role.ADMIN)
    (user,) = [item for item in await admin.read("/users") if item["name"] == admin.name]
    path = f"/users/{user['user_id']}"
    assert (await admin.post(path, {"role": "viewer", "is_active": "true"})).status_code == 409
    assert (await admin.post(path, {"role": "admin"})).status_code == 409
    other = await console.login(Role.ADMIN)
    assert (await admin.post(path, {"role": "viewer", "is_active": "true"})).status_code == 303
    assert (await admin.get("/users")).status_code == 403
    assert (await other.get("/users")).status_code == 200


async def _add_user(console: Console, name: str) -> None:
    kept = await console.context.login.passwords.hash(_PASSWORD)
    await console.context.users.add(
        name, role=Role.VIEWER, password_hash=kept, must_change_password=False
    )
