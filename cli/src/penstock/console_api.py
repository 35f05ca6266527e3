"""The console's JSON API: how every command looks at the running hub, and asks it for work.

Where `PENSTOCK_URL` is set, it is asked there; elsewhere the console's application answers in this
process. Every way in which it may not answer is told in a sentence that says what to do.
"""

import contextlib
import getpass
import re
import ssl
from collections.abc import Callable, Generator, Iterator, Mapping
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from chassis.errors import PermanentError, SettingsError, UnavailableError
from chassis.settings import DatabaseSettings, KafkaSettings
from contracts.commands import Command
from contracts.topics import Topic
from penstock.settings import (
    ConsoleAccess,
    ConsoleSettings,
    DatabaseAccess,
    HubAccess,
    KafkaAccess,
    read_access,
)

_DEADLINE_SECONDS = 30.0
_ID = re.compile(r"[0-9a-f-]{1,36}")


class ConsoleRefusalError(PermanentError):
    """The console does not do what it was asked."""


class UnknownThingError(ConsoleRefusalError):
    """The console knows no such thing."""


class NotAllowedError(ConsoleRefusalError):
    """Whoever asks may not."""


class ConsoleApi:
    """Asks the console, wherever it is, in somebody's name."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **query: Any) -> Any:
        """Return what a path of `/api/v1` tells; conditions that are None or empty are left out.

        Raises:
            ConsoleRefusalError: the console refuses, and why.
            UnavailableError: it does not answer.
        """
        return self._ask("GET", path, query=query)

    def find(self, path: str, **query: Any) -> Any:
        """Return what a path tells, or None if there is no such thing.

        Raises:
            ConsoleRefusalError: the console refuses, and why.
            UnavailableError: it does not answer.
        """
        try:
            return self.get(path, **query)
        except UnknownThingError:
            return None

    def pages(self, path: str, *, limit: int, **query: Any) -> list[Any]:
        """Return the beginning of a list, which comes in pages.

        Raises:
            ConsoleRefusalError: the console refuses, and why.
            UnavailableError: it does not answer.
        """
        found: list[Any] = []
        cursor: str | None = ""
        while cursor is not None and len(found) < limit:
            page = self.get(path, **query, cursor=cursor)
            found += page["items"]
            cursor = page["next"]
        return found[:limit]

    def give(self, topic: Topic, command: Command) -> str:
        """Give a command; return its id.

        Raises:
            ConsoleRefusalError: the console refuses, and why.
            UnavailableError: it does not answer.
        """
        body = command.model_dump(mode="json", exclude={"requester"})
        return str(self.post(f"/commands/{topic.name}", body)["command_id"])

    def post(self, path: str, data: Mapping[str, Any] | None = None) -> Any:
        """Have something done; returns what the console answers, None for nothing.

        Raises:
            ConsoleRefusalError: the console refuses, and why.
            UnavailableError: it does not answer.
        """
        return self._ask("POST", path, data or {})

    def _ask(
        self,
        method: str,
        path: str,
        data: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
    ) -> Any:
        given = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        try:
            answer = self._client.request(method, f"/api/v1{path}", json=data, params=given)
        except httpx.RequestError as error:
            raise self._unreachable(error) from error
        if not answer.is_success:
            raise self._refusal(answer)
        if answer.status_code == HTTPStatus.NO_CONTENT:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise self._stranger("its answer is no JSON") from error

    def _unreachable(self, error: Exception) -> UnavailableError:
        problem = next((item for item in _causes(error) if isinstance(item, ssl.SSLError)), None)
        if isinstance(problem, ssl.SSLCertVerificationError):
            return UnavailableError(
                f"the certificate of {self._client.base_url} is not trusted "
                f"({problem.verify_message}); name the file of its authority in `SSL_CERT_FILE`, "
                "and the console in `PENSTOCK_URL` as the certificate does"
            )
        if problem is not None:
            return UnavailableError(
                f"{self._client.base_url} does not speak TLS as it should: {problem}"
            )
        return UnavailableError(
            f"the console does not answer at {self._client.base_url} "
            f"({str(error) or type(error).__name__}); is it running, and is `PENSTOCK_URL` right?"
        )

    def _refusal(self, answer: httpx.Response) -> ConsoleRefusalError | UnavailableError:
        status, told = answer.status_code, _detail(answer)
        if status == HTTPStatus.UNAUTHORIZED:
            return ConsoleRefusalError(
                "the console does not accept the token of `PENSTOCK_TOKEN`: it is unknown, has "
                "expired or was revoked; an administrator makes tokens on the console's page of "
                "users, or with `penstock tokens create`"
            )
        if told is None:
            return self._stranger(f"it answers with status {status}")
        if status == HTTPStatus.NOT_FOUND:
            return UnknownThingError(f"the console refuses: {told}")
        if status == HTTPStatus.FORBIDDEN:
            return NotAllowedError(f"{told} Set `PENSTOCK_TOKEN` to a token of somebody who may.")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            return UnavailableError(f"the console cannot answer now: {told}")
        return ConsoleRefusalError(f"the console refuses: {told}")

    def _stranger(self, why: str) -> UnavailableError:
        return UnavailableError(
            f"what answers at {self._client.base_url} is not the console, or stands before it: "
            f"{why}; correct `PENSTOCK_URL`"
        )


def is_id(name: str) -> bool:
    """Whether a name can be an id, or the beginning of one."""
    return _ID.fullmatch(name.lower()) is not None


def path_part(name: str) -> str:
    """Return a name as a part of a path."""
    return quote(name, safe="")


@contextlib.contextmanager
def asking(
    settings: ConsoleSettings | None = None, *, transport: httpx.BaseTransport | None = None
) -> Generator[ConsoleApi]:
    """Lend the API of the console that the settings name, or of one in this process.

    Raises:
        SettingsError: they name half of one, or one to which a token must not be sent.
    """
    found = settings or read_access(ConsoleAccess).console
    if found.url is None and found.token is None:
        with _local(
            lambda: read_access(DatabaseAccess).database,
            lambda: read_access(KafkaAccess).kafka,
            getpass.getuser(),
        ) as api:
            yield api
        return
    url, token = _checked(found)
    with _client(url, token, transport) as client:
        yield ConsoleApi(client)


@contextlib.contextmanager
def asking_hub(access: HubAccess, user: str) -> Generator[ConsoleApi]:
    """Lend the API of a console in this process, for a hub whose addresses are known."""
    with _local(lambda: access.database, lambda: access.kafka, user) as api:
        yield api


@contextlib.contextmanager
def _local(
    find_database: Callable[[], DatabaseSettings],
    find_kafka: Callable[[], KafkaSettings],
    user: str,
) -> Generator[ConsoleApi]:
    # Only now: it takes a second, and `--help` should not.
    from penstock.console_local import local_client  # noqa: PLC0415

    with local_client(find_database, find_kafka, user) as client:
        yield ConsoleApi(client)


def _client(url: str, token: str, transport: httpx.BaseTransport | None) -> httpx.Client:
    try:
        # A redirect would take the token elsewhere; httpx follows none by default.
        return httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=_DEADLINE_SECONDS,
            transport=transport,
        )
    except httpx.InvalidURL as error:
        problem = f"`PENSTOCK_URL` is no address: {error}"
        raise SettingsError(problem, problems=[problem]) from error
    except OSError as error:
        problem = f"the file of `SSL_CERT_FILE` cannot be used: {error.strerror or error}"
        raise SettingsError(problem, problems=[problem]) from error


def _checked(settings: ConsoleSettings) -> tuple[str, str]:
    missing = [
        name
        for name, value in (("PENSTOCK_URL", settings.url), ("PENSTOCK_TOKEN", settings.token))
        if value is None
    ]
    if settings.url is None or settings.token is None:
        names = " and ".join(f"`{name}`" for name in missing)
        problem = (
            f"{names} is missing: set both its address (https://penstock.example.org) and a token "
            "from its page of users, or neither, to ask the hub's database and Kafka"
        )
        raise SettingsError(problem, problems=[problem])
    token = settings.token.get_secret_value().strip()
    if not _is_safe(settings.url) or not (token.isascii() and token.isprintable()):
        problem = (
            "`PENSTOCK_URL` must be https://… (plain http is for a loopback address only)"
            if not _is_safe(settings.url)
            else "`PENSTOCK_TOKEN` is no token: it has characters that none has"
        )
        raise SettingsError(problem, problems=[problem])
    return settings.url.rstrip("/"), token


def _is_safe(url: str) -> bool:
    """Whether a token may be sent there."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and _is_loopback(host)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _detail(answer: httpx.Response) -> str | None:
    """Return the reason that the console gives (RFC 9457); None where it is not the console's."""
    try:
        found = answer.json()
    except ValueError:
        return None
    detail = found.get("detail") if isinstance(found, dict) else None
    return detail if isinstance(detail, str) else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
