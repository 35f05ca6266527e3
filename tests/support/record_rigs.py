"""Real record sources that a test fills: one per adapter, all with people who have a name.

Each has the same verbs, so that one suite asks all of them the same questions
(`tests/contract/test_record_sources.py`).
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import asyncpg
from pydantic import SecretStr

from chassis.secrets import Secrets
from chassis.shares.local import LocalShare
from scanner.adapters import file_list, ldap_directory, sql_postgres
from scanner.domain.cursors import CursorKind
from scanner.ports.records import RecordSource
from scanner.settings.file_list import FileListRecords
from scanner.settings.ldap import LdapRecords
from scanner.settings.sql import SqlRecords
from tests.support.slapd import PASSWORD, UMICH, Slapd

PASSWORD_VARIABLE = "RIG_PASSWORD"
"""Where the configuration of a rig says that its secret is."""


class Rig(Protocol):
    """One kind of record source with people in it."""

    kind: str
    id_fields: tuple[str, ...]

    @property
    def module(self) -> ModuleType:
        """The adapter's."""
        ...

    secret: str | None
    """The value of `RIG_PASSWORD`; None where the source needs no secret."""

    def records(self) -> dict[str, Any]:
        """Return the section `records` of its entry."""
        ...

    def scan(self) -> dict[str, Any]:
        """Return what its section `scan` has beside identity and type."""
        ...

    def open(self) -> RecordSource:
        """Return the adapter, as the service would open it."""
        ...

    async def put(self, people: Mapping[str, str]) -> None:
        """Have exactly these people in the source: their names by identity."""
        ...

    async def spoil(self) -> None:
        """Add one person whose record cannot be used."""
        ...

    def refuse(self) -> None:
        """Have the source refuse everything from now on."""
        ...

    def name_in(self, record: Mapping[str, Any]) -> str:
        """Return the name that a record tells."""
        ...


class SqlRig:
    """A table in PostgreSQL."""

    kind = "sql"
    module: ModuleType = sql_postgres
    id_fields: tuple[str, ...] = ("id",)

    def __init__(self, url: str) -> None:
        self._url = url
        self.secret: str | None = url

    def records(self) -> dict[str, Any]:
        return {
            "kind": "sql",
            "url": f"env:{PASSWORD_VARIABLE}",
            "query": "select id, name, changed_at from rig.people where kind = $1",
            "parameters": [{"type": "text", "value": "person"}],
            "id_column": "id",
            "cursor_column": "changed_at",
            "page_size": 2,
            "settle_seconds": 0,
        }

    def scan(self) -> dict[str, Any]:
        return {"significant": ["name"], "detection": {"by": "timestamp"}}

    def open(self) -> RecordSource:
        config = SqlRecords.model_validate(self.records())
        return sql_postgres.PostgresRecords(
            config, url=self.secret or "", cursor=CursorKind.TIMESTAMP
        )

    async def put(self, people: Mapping[str, str]) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(
                "create schema if not exists rig; create table if not exists rig.people "
                "(id text, name text, kind text default 'person', "
                "changed_at timestamptz default now())"
            )
            await connection.execute(
                "delete from rig.people where id <> all($1::text[]) or id is null", list(people)
            )
            for identity, name in people.items():
                status = await connection.execute(
                    "update rig.people set name = $2, changed_at = now() "
                    "where id = $1 and name <> $2",
                    identity,
                    name,
                )
                if status == "UPDATE 0":
                    await connection.execute(
                        "insert into rig.people (id, name) select $1, $2 "
                        "where not exists (select 1 from rig.people where id = $1)",
                        identity,
                        name,
                    )
        finally:
            await connection.close()

    async def spoil(self) -> None:
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute("insert into rig.people (id, name) values (null, 'nobody')")
        finally:
            await connection.close()

    def refuse(self) -> None:
        self.secret = f"{self._url}_no_such_database"

    def name_in(self, record: Mapping[str, Any]) -> str:
        return str(record["name"])


class LdapRig:
    """People in a directory."""

    kind = "ldap"
    module: ModuleType = ldap_directory
    id_fields: tuple[str, ...] = ("uid",)

    def __init__(self, slapd: Slapd) -> None:
        self._slapd = slapd
        self._people: dict[str, str] = {}
        self._is_spoiled = False
        self.secret: str | None = PASSWORD

    def records(self) -> dict[str, Any]:
        return {
            "kind": "ldap",
            "url": self._slapd.url,
            "start_tls": True,
            "ca_file": str(self._slapd.ca_file),
            "auth": {"user": f"cn=admin,{UMICH}", "password": f"env:{PASSWORD_VARIABLE}"},
            "base": UMICH,
            "filter": "(objectClass=inetOrgPerson)",
            "attributes": ["uid", "cn", "jpegPhoto"],
            "id_attribute": "uid",
            "modified_attribute": "modifyTimestamp",
            "page_size": 2,
        }

    def scan(self) -> dict[str, Any]:
        return {"detection": {"by": "timestamp"}}

    def open(self) -> RecordSource:
        config = LdapRecords.model_validate(self.records())
        secrets = Secrets({PASSWORD_VARIABLE: SecretStr(self.secret or "")})
        return ldap_directory.LdapDirectory(config, secrets, cursor=CursorKind.TIMESTAMP)

    async def put(self, people: Mapping[str, str]) -> None:
        changes = [
            f"dn: uid={identity},{UMICH}\nchangetype: delete\n"
            for identity in self._people.keys() - people.keys()
        ]
        for identity, name in people.items():
            if identity not in self._people:
                changes.append(_person(identity, name))
            elif self._people[identity] != name:
                changes.append(
                    f"dn: uid={identity},{UMICH}\nchangetype: modify\nreplace: cn\ncn: {name}\n-\n"
                )
        self._people = dict(people)
        self._slapd.modify("\n".join(changes))

    async def spoil(self) -> None:
        # Not text, and not named under `binary`.
        self._is_spoiled = True
        self._slapd.modify(_person("spoiled", "No Text") + "jpegPhoto:: /9j/4AAQ\n")

    async def clear(self) -> None:
        """Leave the directory as it was: other tests use it too."""
        spoiled = {"spoiled": ""} if self._is_spoiled else {}
        self._people |= spoiled
        await self.put({})

    def refuse(self) -> None:
        self.secret = "wrong"

    def name_in(self, record: Mapping[str, Any]) -> str:
        return str(record["cn"][0])


def _person(identity: str, name: str) -> str:
    return (
        f"dn: uid={identity},{UMICH}\nchangetype: add\nobjectClass: inetOrgPerson\n"
        f"uid: {identity}\nsn: Person\ncn: {name}\n"
    )


class FileListRig:
    """A list in a file, with a preamble and a footer."""

    kind = "file-list"
    module: ModuleType = file_list
    id_fields: tuple[str, ...] = ("Id",)
    secret: str | None = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines: list[str] = []

    def records(self) -> dict[str, Any]:
        return {
            "kind": "file-list",
            "share": {"kind": "local", "root": str(self._folder)},
            "path": "people.csv",
            "header": ["Id", "Name"],
            "page_size": 2,
        }

    def scan(self) -> dict[str, Any]:
        return {}

    def open(self) -> RecordSource:
        share = LocalShare(self._folder, connections=1)
        return file_list.FileListSource(FileListRecords.model_validate(self.records()), share)

    async def put(self, people: Mapping[str, str]) -> None:
        self._lines = [f'"{identity}","{name}"' for identity, name in people.items()]
        self._write()

    async def spoil(self) -> None:
        self._lines.append('"","nobody"')
        self._write()

    def refuse(self) -> None:
        (self._folder / "people.csv").unlink()

    def name_in(self, record: Mapping[str, Any]) -> str:
        return str(record["Name"])

    def _write(self) -> None:
        lines = ["Everybody,", "\u00a0", "Id,Name", *self._lines, "\u00a0", "Some, legal, text"]
        text = "\ufeff" + "".join(f"{line}\n" for line in lines)
        (self._folder / "people.csv").write_text(text, "utf-8")
