"""Records from a directory, over LDAP (docs/decisions/0023).

The client library blocks; every call of it runs in one thread that this adapter owns, and has a
deadline on its socket.
"""

import asyncio
import base64
import binascii
import contextlib
import math
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from chassis.errors import PenstockError, UnavailableError
from chassis.secrets import Secrets
from contracts.errors import ErrorCategory
from scanner.adapters.ldap_entries import EntryReader, generalized_time
from scanner.adapters.ldap_tls import (
    StandardTls,
    escape_bytes,
    escape_filter_chars,
    ldap3,
    ldap_errors,
)
from scanner.domain.cursors import CursorKind, highest, parse_time
from scanner.domain.records import (
    Abilities,
    ById,
    Full,
    ItemFailure,
    PollRequest,
    RawRecord,
    RecordPage,
    Since,
    SourceDescription,
)
from scanner.errors import SourceRefusedError
from scanner.settings.ldap import LdapRecords

IDS_PER_SEARCH = 100

_PAGED_RESULTS = "1.2.840.113556.1.4.319"
_SUCCESS = 0
_LIMITS = {3: "time limit", 4: "size limit", 11: "administrative limit"}
"""The server stopped before its end: what was told is true, and not everything."""

_BUSY = (51, 52)
_ACCESS = (7, 8, 13, 48, 49, 50)
"""The log-on, or the rights."""

_SCOPES: dict[str, Any] = {"subtree": "SUBTREE", "one": "LEVEL", "base": "BASE"}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Answer:
    """One page as the thread hands it over."""

    records: tuple[RawRecord, ...]
    failures: tuple[ItemFailure, ...]
    mark: str | None
    cookie: bytes
    gap: str | None


class LdapDirectory:
    """`RecordSource` on a directory."""

    def __init__(self, config: LdapRecords, secrets: Secrets, *, cursor: CursorKind | None) -> None:
        self._config = config
        self._secrets = secrets
        self._cursor = cursor if config.modified_attribute else None
        self._reader = EntryReader(
            config.attributes,
            binary=config.binary,
            id_attribute=config.id_attribute,
            modified=config.modified_attribute,
            cursor=self._cursor,
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ldap")
        self._connection: Any = None

    @property
    def abilities(self) -> Abilities:
        """Which requests it can answer beside `Full`."""
        return Abilities(
            since=self._cursor is not None, by_id=self._config.id_attribute is not None
        )

    async def describe(self) -> SourceDescription:
        """Connect, log on, and look whether the base is there."""
        await self._run(self._look_at_base)
        is_encrypted = self._config.start_tls or self._url().scheme == "ldaps"
        return SourceDescription("ldap", "encrypted" if is_encrypted else "not encrypted")

    async def poll(self, request: PollRequest) -> AsyncGenerator[RecordPage]:
        """Tell the entries that are asked for, a page at a time."""
        marks: str | None = None
        for text in self._filters(request):
            cookie = b""
            while True:
                answer = await self._run(self._search_page, text, cookie)
                if self._cursor is not None:
                    marks = highest(self._cursor, [marks, answer.mark])
                yield RecordPage(answer.records, answer.failures, high_water=marks, gap=answer.gap)
                cookie = answer.cookie
                if not cookie:
                    break

    async def close(self) -> None:
        """Say good-bye and close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, _unbind, connection)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call the library in its thread.

        Raises:
            UnavailableError: the server does not answer, or is busy.
            SourceRefusedError: it refuses the log-on or the search.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, function, *arguments)
        except ldap_errors.LDAPBindError as error:
            raise SourceRefusedError(
                f"the directory refuses the log-on: {error}", category=ErrorCategory.SOURCE_ACCESS
            ) from error
        except (ldap_errors.LDAPCommunicationError, OSError) as error:
            raise UnavailableError(
                f"the directory does not answer: {type(error).__name__}",
                dependency="ldap",
                category=ErrorCategory.SOURCE_REQUEST,
            ) from error
        except ldap_errors.LDAPExceptionError as error:
            raise SourceRefusedError(
                f"the directory cannot be asked: {error}", category=ErrorCategory.CONFIG_VALIDATION
            ) from error

    def _url(self) -> Any:
        url = self._config.url
        return urlsplit(self._secrets[url] if url.startswith("env:") else url)

    def _connected(self) -> Any:
        """Return the connection, logged on."""
        if self._connection is None:
            connection = self._build()
            with contextlib.ExitStack() as failing:
                failing.callback(_unbind, connection)
                self._log_on(connection)
                failing.pop_all()
            self._connection = connection
        return self._connection

    def _build(self) -> Any:
        config, url = self._config, self._url()
        tls = StandardTls(config.ca_file, verifies=config.verify_certificate)
        server = ldap3.Server(
            url.hostname,
            port=url.port,
            use_ssl=url.scheme == "ldaps",
            get_info=ldap3.NONE,
            tls=tls,
            connect_timeout=config.timeout_seconds,
        )
        auth = config.auth
        if auth and not (config.start_tls or url.scheme == "ldaps" or config.allow_unencrypted):
            raise SourceRefusedError(
                "a password would travel in the clear: use `ldaps://` or `start_tls`, "
                "or say `allow_unencrypted`",
                category=ErrorCategory.CONFIG_VALIDATION,
            )
        user = auth.user if auth else None
        return ldap3.Connection(
            server,
            user=self._secrets[user] if user and user.startswith("env:") else user,
            password=self._secrets[auth.password] if auth else None,
            authentication=ldap3.SIMPLE if auth else ldap3.ANONYMOUS,
            auto_referrals=False,
            check_names=False,
            read_only=True,
            receive_timeout=math.ceil(config.timeout_seconds),
            return_empty_attributes=False,
        )

    def _log_on(self, connection: Any) -> None:
        connection.open()
        if self._config.start_tls and not connection.start_tls():
            raise _refusal("encryption", connection.result)
        if not connection.bind():
            raise _refusal("log-on", connection.result)

    def _look_at_base(self) -> None:
        connection = self._connected()
        connection.search(
            self._config.base, "(objectClass=*)", search_scope="BASE", attributes=["1.1"]
        )
        if connection.result["result"] != _SUCCESS:
            raise _refusal(f"base {self._config.base!r}", connection.result)

    def _filters(self, request: PollRequest) -> Iterator[str]:
        base = self._config.filter
        match request:
            case Full():
                yield base
            case Since(cursor):
                value = cursor
                if self._cursor is CursorKind.TIMESTAMP:
                    value = generalized_time(parse_time(cursor))
                yield f"(&{base}({self._config.modified_attribute}>={value}))"
            case ById(external_ids):
                for begin in range(0, len(external_ids), IDS_PER_SEARCH):
                    yield self._by_id(external_ids[begin : begin + IDS_PER_SEARCH])

    def _by_id(self, external_ids: Sequence[str]) -> str:
        name = self._config.id_attribute
        is_binary = (name or "").lower() in {item.lower() for item in self._config.binary}
        escape = _escape_binary if is_binary else escape_filter_chars
        choices = "".join(f"({name}={escape(item)})" for item in external_ids)
        return f"(&{self._config.filter}(|{choices}))"

    def _search_page(self, text: str, cookie: bytes) -> _Answer:
        config, connection = self._config, self._connected()
        asked = list(config.attributes)
        if config.modified_attribute and self._cursor is not None:
            asked.append(config.modified_attribute)
        connection.search(
            config.base,
            text,
            search_scope=_SCOPES[config.scope],
            attributes=asked,
            paged_size=config.page_size,
            paged_criticality=True,
            paged_cookie=cookie or None,
        )
        return self._read(connection)

    def _read(self, connection: Any) -> _Answer:
        result = connection.result
        code = result["result"]
        if code != _SUCCESS and code not in _LIMITS:
            raise _refusal("search", result)
        found = [
            self._reader.read(entry["dn"], entry["raw_attributes"])
            for entry in _entries(connection)
        ]
        marks = [self._reader.mark(entry["raw_attributes"]) for entry in _entries(connection)]
        control = (result.get("controls") or {}).get(_PAGED_RESULTS)
        return _Answer(
            records=tuple(item for item in found if not isinstance(item, ItemFailure)),
            failures=tuple(item for item in found if isinstance(item, ItemFailure)),
            mark=None if self._cursor is None else highest(self._cursor, marks),
            cookie=control["value"]["cookie"] if control and code == _SUCCESS else b"",
            gap=f"the directory's {_LIMITS[code]} was reached" if code in _LIMITS else None,
        )


def _entries(connection: Any) -> Iterator[dict[str, Any]]:
    """Yield what is an entry; references to other servers are none of this source's business."""
    for item in connection.response or ():
        if item["type"] == "searchResEntry":
            yield item


def _refusal(what: str, result: dict[str, Any]) -> PenstockError:
    reason = f"{result['description']} ({result['result']})"
    if result["result"] in _BUSY:
        return UnavailableError(f"the directory is busy: {reason}", dependency="ldap")
    return SourceRefusedError(
        f"the directory refuses the {what}: {reason}",
        category=ErrorCategory.SOURCE_ACCESS
        if result["result"] in _ACCESS
        else ErrorCategory.SOURCE_REQUEST,
    )


def _escape_binary(external_id: str) -> str:
    try:
        return escape_bytes(base64.b64decode(external_id, validate=True))
    except binascii.Error:
        return escape_filter_chars(external_id)


def _unbind(connection: Any) -> None:
    try:
        connection.unbind()
    except (ldap_errors.LDAPExceptionError, OSError):
        connection.strategy.close()
