"""Every route, every role, and what must come with a request that changes something."""

import re

import pytest

from console.domain.credentials import digest, form_token, new_api_token, new_token
from console.domain.roles import Role
from console.web.access import ACCESS, PUBLIC, AccessTable
from console.web.application import build_routes, routes_of
from console.web.headers import CONTENT_SECURITY_POLICY
from tests.integration.console.browser import ORIGIN, SITE, Browser, Console

_NOWHERE = "00000000-0000-0000-0000-000000000000"
_OPEN_STREAMS = frozenset({"GET /events"})
_ENDS_THE_SESSION = "POST /logout"


def _path(line: str) -> str:
    return re.sub(r"\{[^}]*\}", _NOWHERE, line.partition(" ")[2])


async def _ask(browser: Browser, line: str) -> int:
    if line.startswith("GET"):
        return (await browser.get(_path(line))).status_code
    return (await browser.post(_path(line))).status_code


@pytest.mark.covers("S4-23")
async def test_every_route_answers_those_it_is_for_and_nobody_else(console: Console) -> None:
    anonymous = await console.anonymous()
    browsers = {role: await console.login(role) for role in Role}
    wrong = []
    for line, least in ACCESS.items():
        if line in _OPEN_STREAMS or line == _ENDS_THE_SESSION:
            continue
        method, path = line.partition(" ")[0], _path(line)
        answer = await anonymous.request(method, path, headers={"Origin": ORIGIN})
        shut_out = answer.status_code == 401 or "/login?next" in answer.headers.get("location", "")
        if shut_out != (least is not PUBLIC) and method == "GET":
            wrong.append(f"nobody: {line}: {answer.status_code}")
        for role, browser in browsers.items():
            is_refused = await _ask(browser, line) == 403
            if is_refused != (least is not PUBLIC and not role.includes(least)):
                wrong.append(f"{role}: {line}")
    assert wrong == []


def test_every_route_stands_in_the_table_and_the_other_way_round() -> None:
    routes = routes_of(build_routes())
    assert routes == set(ACCESS)
    assert "GET /runs/{run_id}" in routes  # the comparison is not of two empty sets


async def test_a_route_that_is_not_in_the_table_does_not_exist(console: Console) -> None:
    admin = await console.login(Role.ADMIN)
    for path in ("/docs", "/redoc", "/runs/x/y/z", "/runs/", "/static/%2e%2e/app.py"):
        assert (await admin.get(path)).status_code == 404
    assert (await admin.client.delete("/runs")).status_code == 405


def test_two_lines_that_one_address_falls_under_are_refused() -> None:
    with pytest.raises(ValueError, match="is also"):
        AccessTable({"GET /things/{name}": Role.VIEWER, "GET /things/new": Role.ADMIN})


async def test_a_form_needs_our_origin_and_its_token(console: Console) -> None:
    admin = await console.login(Role.ADMIN)
    token = form_token(admin.cookie)
    cases = {
        "another site": ({"Origin": "http://evil.example"}, token),
        "a hidden origin": ({"Origin": "null"}, token),
        "no origin": ({}, token),
        "no token": ({"Origin": ORIGIN}, ""),
        "a token of another session": ({"Origin": ORIGIN}, form_token(new_token())),
    }
    for name, (headers, given) in cases.items():
        fields = {"csrf": given, "name": "mallory", "role": "admin"}
        answer = await admin.client.post("/users", data=fields, headers=headers)
        assert answer.status_code == 403, name
    answer = await admin.post("/users", {"name": "ann", "role": "viewer"})
    assert answer.status_code == 200
    names = [user["name"] for user in await admin.read("/users")]
    assert "ann" in names
    assert "mallory" not in names


async def test_another_name_of_the_machine_is_refused(console: Console) -> None:
    viewer = await console.login()
    answer = await viewer.get("/", headers={"Host": "rebound.example"})
    assert answer.status_code == 400


async def test_a_body_without_end_is_cut_off(console: Console) -> None:
    admin = await console.login(Role.ADMIN)
    answer = await admin.post("/users", {"name": "a" * 70_000, "role": "viewer"})
    assert answer.status_code == 413


async def test_every_answer_carries_the_headers_that_forbid(console: Console) -> None:
    viewer = await console.login()
    paths = ("/runs", "/login", "/static/console.css", "/api/v1/runs", "/nothing")
    answers = [await viewer.get(path) for path in paths]
    answers.append(await (await console.anonymous()).get("/"))
    for answer in answers:
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
    assert answers[0].headers["cache-control"] == "no-store"
    assert "immutable" in answers[2].headers["cache-control"]


async def test_a_session_ends_when_it_is_idle_or_old_and_with_its_user(console: Console) -> None:
    for change in (
        "update console.sessions set last_seen_at = last_seen_at - interval '31 minutes'",
        "update console.sessions set created_at = created_at - interval '8 hours 1 minute'",
        "update console.users set is_active = false",
    ):
        viewer = await console.login()
        await viewer.page("/runs")
        async with console.database.connection() as connection:
            await connection.execute(change)
        answer = await viewer.get("/runs?state=open")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/login?next=%2Fruns%3Fstate%3Dopen"


async def test_a_page_that_refreshes_itself_does_not_keep_the_session_awake(
    console: Console,
) -> None:
    viewer = await console.login()
    asleep = "update console.sessions set last_seen_at = clock_timestamp() - interval '20 minutes'"
    awake = "select last_seen_at > clock_timestamp() - interval '1 minute' from console.sessions"
    async with console.database.connection() as connection:
        await connection.execute(asleep)
        await viewer.get("/runs", headers={"X-Penstock-Live": "1"})
        assert not await connection.fetchval(awake)
        await viewer.get("/runs")
        assert await connection.fetchval(awake)


async def test_a_token_opens_the_api_for_its_role_until_it_is_revoked(console: Console) -> None:
    admin = await console.login(Role.ADMIN)
    operator = await console.login(Role.OPERATOR)
    users = {user["name"]: user["user_id"] for user in await admin.read("/users")}
    fields = {"user_id": users[operator.name], "label": "nightly", "role": "viewer", "days": "30"}
    page = (await admin.post("/tokens", fields)).text
    token = re.search(r"pst_[\w-]+", page)
    assert token is not None
    client = await console.anonymous()
    bearer = {"Authorization": f"Bearer {token[0]}"}

    me = (await client.get("/api/v1/me", headers=bearer)).json()
    assert (me["name"], me["role"]) == (f"{operator.name}/nightly", "viewer")
    # Its owner may cancel runs, the token may not; and it opens no pages.
    cancel = f"/api/v1/runs/{_NOWHERE}/cancel"
    assert (await client.post(cancel, headers=bearer)).status_code == 403
    assert (await client.get("/runs", headers=bearer)).status_code == 303
    above = await admin.post("/tokens", {**fields, "role": "admin"})
    assert above.status_code == 409

    (listed,) = await admin.read("/tokens")
    assert token[0] not in str(listed)
    assert (await admin.post(f"/tokens/{listed['token_id']}/revoke")).status_code == 303
    assert (await client.get("/api/v1/me", headers=bearer)).status_code == 401


async def test_a_token_is_never_more_than_its_owner_is_now(console: Console) -> None:
    operator = await console.login(Role.OPERATOR)
    token = new_api_token()
    async with console.database.connection() as connection:
        await connection.execute(
            "insert into console.api_tokens (token_hash, user_id, label, role, expires_at) "
            "select $1, user_id, 'x', 'operator', clock_timestamp() + interval '1 day' "
            "from console.users where name = $2",
            digest(token),
            operator.name,
        )
        client = await console.anonymous()
        bearer = {"Authorization": f"Bearer {token}"}
        change = f"/api/v1/runs/{_NOWHERE}/cancel"
        # No form token and no origin: nothing but the token itself makes a browser send it.
        assert (await client.post(change, headers=bearer)).status_code == 404
        await connection.execute("update console.users set role = 'viewer'")
        assert (await client.post(change, headers=bearer)).status_code == 403
        await connection.execute(
            "update console.api_tokens set expires_at = clock_timestamp() - interval '1 second'"
        )
        assert (await client.get("/api/v1/me", headers=bearer)).status_code == 401


async def test_the_cookie_of_a_public_address_is_for_https_alone() -> None:
    assert SITE.session_cookie == "penstock"
    secure = type(SITE)(frozenset({"x.example"}), frozenset({"https://x.example"}), is_secure=True)
    assert secure.session_cookie.startswith("__Host-")
