import json
import ssl
from pathlib import Path

import httpx
import pytest

from chassis.errors import PermanentError, SettingsError, UnavailableError
from penstock.console_api import ConsoleRefusalError, asking
from penstock.settings import ConsoleSettings, service_environment

URL = "https://penstock.example.org"


def settings(url: str | None = URL, token: str | None = "pst_x") -> ConsoleSettings:
    return ConsoleSettings.model_validate({"PENSTOCK_URL": url, "PENSTOCK_TOKEN": token})


def problem(status: int, detail: str) -> httpx.Response:
    return httpx.Response(status, json={"status": status, "title": "no", "detail": detail})


def told_by(answer: httpx.Response | Exception) -> str:
    """Return the sentence that an answer leads to."""

    def respond(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with (
        pytest.raises((ConsoleRefusalError, UnavailableError)) as refused,
        asking(settings(), transport=httpx.MockTransport(respond)) as api,
    ):
        api.get("/users")
    return str(refused.value)


def test_the_token_goes_with_every_request_and_answers_come_back() -> None:
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204) if request.method == "POST" else httpx.Response(200, json=[1])

    with asking(settings(url=f"{URL}/"), transport=httpx.MockTransport(respond)) as api:
        assert api.get("/users") == [1]
        assert api.post("/tokens/1/revoke") is None
    assert [str(request.url) for request in seen] == [
        f"{URL}/api/v1/users",
        f"{URL}/api/v1/tokens/1/revoke",
    ]
    assert {request.headers["authorization"] for request in seen} == {"Bearer pst_x"}
    assert json.loads(seen[1].content) == {}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (problem(401, "Log on first."), ["`PENSTOCK_TOKEN`", "expired", "penstock tokens create"]),
        (
            problem(403, "This needs the role admin; yours is viewer."),
            ["This needs the role admin; yours is viewer.", "`PENSTOCK_TOKEN`"],
        ),
        (problem(409, "There is a user 'mia' already."), ["refuses: There is a user 'mia'"]),
        (problem(503, "The database does not answer."), ["cannot answer now: The database"]),
        (httpx.Response(200, text="<html>Log on</html>"), ["not the console", "`PENSTOCK_URL`"]),
        (httpx.Response(302, headers={"location": "/"}), ["not the console", "status 302"]),
        (httpx.Response(404, text="nginx"), ["not the console", "status 404"]),
        (httpx.ConnectError("Connection refused"), [URL, "Connection refused", "is it running"]),
        (httpx.ReadTimeout(""), [URL, "ReadTimeout"]),
    ],
)
def test_every_refusal_says_what_is_wrong(
    answer: httpx.Response | Exception, words: list[str]
) -> None:
    sentence = told_by(answer)
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (ssl.SSLCertVerificationError("unknown authority"), ["is not trusted", "`SSL_CERT_FILE`"]),
        (ssl.SSLError("WRONG_VERSION_NUMBER"), ["does not speak TLS", "WRONG_VERSION_NUMBER"]),
    ],
)
def test_a_bad_certificate_is_told_as_such(cause: ssl.SSLError, words: list[str]) -> None:
    cause.verify_message = "unable to get local issuer certificate"  # type: ignore[attr-defined]
    error = httpx.ConnectError("ssl")
    error.__cause__ = cause
    sentence = told_by(error)
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (settings(token=None), "`PENSTOCK_TOKEN` is missing"),
        (settings(url=None), "`PENSTOCK_URL` is missing"),
        (settings(url="http://penstock.example.org"), "must be https://"),
        (settings(url="penstock.example.org"), "must be https://"),
        (settings(url="https://[broken"), "must be https://"),
        (settings(url="https://penstock.example.org:port"), "is no address"),
        (settings(token="pst\u00e4"), "`PENSTOCK_TOKEN` is no token"),
    ],
)
def test_without_a_safe_address_and_a_token_nothing_is_sent(
    found: ConsoleSettings, sentence: str
) -> None:
    with pytest.raises(SettingsError) as refused, asking(found):
        pytest.fail("asked")
    assert isinstance(refused.value, PermanentError)
    assert sentence in refused.value.message


def test_a_file_of_authorities_that_is_missing_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(SettingsError) as refused, asking(settings()):
        pytest.fail("asked")
    assert refused.value.message == (
        "the file of `SSL_CERT_FILE` cannot be used: No such file or directory"
    )


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_plain_http_is_for_this_machine(host: str) -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(200, json={}))
    with asking(settings(url=f"http://{host}"), transport=answer) as api:
        assert api.get("/me") == {}


def test_services_that_we_start_do_not_see_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_TOKEN", "pst_x")
    monkeypatch.setenv("PENSTOCK_URL", URL)
    monkeypatch.setenv("PENSTOCK_LOG_LEVEL", "INFO")
    handed_on = service_environment()
    assert not handed_on.keys() & {"PENSTOCK_TOKEN", "PENSTOCK_URL"}
    assert handed_on["PENSTOCK_LOG_LEVEL"] == "INFO"
