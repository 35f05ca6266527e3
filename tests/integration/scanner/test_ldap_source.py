"""A real OpenLDAP with real shapes: paging, binary attributes, encryption, limits, refusals."""

import base64
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from chassis.errors import PenstockError, UnavailableError
from chassis.secrets import Secrets
from scanner.adapters.ldap_directory import LdapDirectory
from scanner.domain.cursors import CursorKind, Overlap
from scanner.domain.records import ById, Full, PollRequest, RecordPage, Since
from scanner.errors import SourceRefusedError
from scanner.settings.ldap import LdapRecords
from tests.support.paths import shared_data
from tests.support.slapd import AD, PASSWORD, UMICH, Slapd

PEOPLE = f"ou=People,{UMICH}"
GUID = bytes(range(16))

GROUP = f"""
dn: cn=lsa-admins,{AD}
objectClass: group
objectClass: adPrincipal
cn: lsa-admins
sAMAccountName: lsa-admins
groupType: -2147483646
instanceType: 4
nTSecurityDescriptor: x
objectCategory: cn=Group
objectGUID:: {base64.b64encode(GUID).decode()}
adKey:: {base64.b64encode(GUID).decode()}
objectSid:: AQUAAAAAAAUVAAAA
whenChanged: 20250711141817.0Z
uSNChanged: 4711
member: cn=b,{AD}
member: cn=a,{AD}
"""


def crew() -> str:
    """Return the people of the test directory with photographs, moved below our tree."""
    parts = []
    for path in sorted(shared_data("directory", "planetexpress").glob("10_*.ldif")):
        text = path.read_text("utf-8").replace("\n ", "")
        parts.append(text.replace("ou=people,dc=planetexpress,dc=com", f"ou=Crew,{UMICH}"))
    return f"dn: ou=Crew,{UMICH}\nobjectClass: organizationalUnit\nou: Crew\n\n" + "\n".join(parts)


@pytest.fixture(scope="module")
def slapd() -> Generator[Slapd]:
    server = Slapd()
    try:
        people = shared_data("directory", "three_sources_febrl", "mcommunity_people.ldif")
        server.load(people.read_text("utf-8"))
        server.load(crew())
        server.load(GROUP, suffix=AD)
        server.start()
        yield server
    finally:
        server.remove()


def directory(
    slapd: Slapd, *, password: str = PASSWORD, cursor: CursorKind | None = None, **config: Any
) -> LdapDirectory:
    given: dict[str, Any] = {
        "kind": "ldap",
        "url": slapd.tls_url,
        "ca_file": str(slapd.ca_file),
        "auth": {"user": f"cn=admin,{UMICH}", "password": "env:PASSWORD"},
        "base": PEOPLE,
        "filter": "(objectClass=umichPerson)",
        "attributes": ["uid", "cn", "mail", "ou"],
        "id_attribute": "uid",
    }
    secrets = Secrets({"PASSWORD": SecretStr(password)})
    return LdapDirectory(LdapRecords.model_validate(given | config), secrets, cursor=cursor)


async def read(source: LdapDirectory, request: PollRequest | None = None) -> list[RecordPage]:
    try:
        return [page async for page in source.poll(request or Full())]
    finally:
        await source.close()


@pytest.mark.covers("S2-01")
async def test_everybody_is_read_in_pages(slapd: Slapd) -> None:
    pages = await read(directory(slapd, page_size=500))
    assert [len(page.records) for page in pages] == [500, 500, 370]
    found = {record["uid"][0]: record for page in pages for record in page.records}
    assert found["ncampbel"] == {
        "dn": [f"uid=ncampbel,{PEOPLE}"],
        "uid": ["ncampbel"],
        "cn": ["N Campbell", "Nicholas Campbell"],
        "mail": ["ncampbel@umich.example"],
        "ou": ["LSA Chemistry - Faculty and Staff"],
    }


async def test_a_binary_attribute_is_told_in_base64_if_it_is_named(slapd: Slapd) -> None:
    config: dict[str, Any] = {
        "base": f"ou=Crew,{UMICH}",
        "filter": "(objectClass=person)",
        "attributes": ["cn", "uid", "jpegPhoto"],
    }
    pages = await read(directory(slapd, binary=["jpegPhoto"], **config))
    photos = [
        base64.b64decode(record["jpegPhoto"][0])
        for page in pages
        for record in page.records
        if "jpegPhoto" in record
    ]
    assert len(photos) == 5
    assert all(photo.startswith(b"\xff\xd8\xff") for photo in photos)
    pages = await read(directory(slapd, **config))
    failures = [failure for page in pages for failure in page.failures]
    assert {failure.external_id for failure in failures} == {
        "bender",
        "fry",
        "leela",
        "professor",
        "zoidberg",
    }
    assert "name it under `binary`" in failures[0].message


async def test_a_group_of_active_directory_keeps_its_identity_and_its_members(slapd: Slapd) -> None:
    config: dict[str, Any] = {
        "auth": {"user": f"cn=admin,{AD}", "password": "env:PASSWORD"},
        "base": AD,
        "filter": "(objectClass=group)",
        "attributes": ["objectGUID", "sAMAccountName", "member", "whenChanged"],
        "binary": ["objectGUID"],
        "id_attribute": "objectGUID",
        "modified_attribute": "uSNChanged",
    }
    (page,) = await read(directory(slapd, cursor=CursorKind.INTEGER, **config))
    encoded = base64.b64encode(GUID).decode()
    assert page.records == (
        {
            "dn": [f"cn=lsa-admins,{AD}"],
            "objectGUID": [encoded],
            "sAMAccountName": ["lsa-admins"],
            "member": [f"cn=a,{AD}", f"cn=b,{AD}"],
            "whenChanged": ["20250711141817.0Z"],
        },
    )
    assert page.high_water == "4711"
    config |= {"attributes": ["adKey"], "binary": ["adKey"], "id_attribute": "adKey"}
    by_id = await read(directory(slapd, **config), ById((encoded, "AAAA")))
    assert [len(page.records) for page in by_id] == [1]
    config["modified_attribute"] = "whenChanged"
    (page,) = await read(directory(slapd, cursor=CursorKind.TIMESTAMP, **config))
    assert page.high_water == "2025-07-11T14:18:17.000000Z"


@pytest.mark.covers("S2-15")
async def test_what_changed_since_is_asked_with_an_overlap(slapd: Slapd) -> None:
    config: dict[str, Any] = {"modified_attribute": "modifyTimestamp"}
    timed = CursorKind.TIMESTAMP
    mark = (await read(directory(slapd, cursor=timed, **config)))[-1].high_water
    assert mark is not None
    overlap = Overlap(timed, span=timedelta(minutes=1))
    since = Since(overlap.below(mark))
    assert (
        sum(
            len(page.records)
            for page in await read(directory(slapd, cursor=timed, **config), since)
        )
        == 1370
    )
    future = Since(overlap.below("2999-01-01T00:00:00Z"))
    assert (
        sum(
            len(page.records)
            for page in await read(directory(slapd, cursor=timed, **config), future)
        )
        == 0
    )


async def test_identities_are_escaped(slapd: Slapd) -> None:
    pages = await read(directory(slapd), ById(("sgreen3", "*", ")(uid=*", "nobody")))
    assert [record["uid"] for page in pages for record in page.records] == [["sgreen3"]]


async def test_a_limit_of_the_server_is_a_gap_and_not_the_end() -> None:
    limited = Slapd("sizelimit size.hard=100 size.prtotal=100")
    try:
        limited.load(
            shared_data("directory", "three_sources_febrl", "mcommunity_people.ldif").read_text()
        )
        limited.load(
            f"dn: uid=reader,{UMICH}\nobjectClass: account\nobjectClass: simpleSecurityObject\n"
            f"uid: reader\nuserPassword: {PASSWORD}\n"
        )
        limited.start()
        auth = {"user": f"uid=reader,{UMICH}", "password": "env:PASSWORD"}
        pages = await read(directory(limited, auth=auth, page_size=50))
    finally:
        limited.remove()
    assert pages[-1].gap is not None
    assert "limit" in pages[-1].gap


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"password": "wrong"}, "log-on"),
        ({"base": f"ou=Nowhere,{UMICH}"}, "base"),
        ({"url": "plain"}, "in the clear"),
    ],
)
async def test_a_refusal_is_not_tried_again(
    slapd: Slapd, config: dict[str, Any], message: str
) -> None:
    if config.get("url"):
        config = {"url": slapd.url}
    source = directory(slapd, **config)
    with pytest.raises(SourceRefusedError, match=message):
        await source.describe()
    await source.close()


async def test_a_server_that_nobody_vouches_for_is_not_told_the_password(slapd: Slapd) -> None:
    source = directory(slapd, ca_file=None)
    with pytest.raises(PenstockError):
        await source.describe()
    await source.close()


async def test_a_server_that_goes_away_is_an_outage() -> None:
    server = Slapd()
    try:
        server.load(
            shared_data("directory", "three_sources_febrl", "mcommunity_people.ldif").read_text()
        )
        server.start()
        source = directory(server, page_size=100)
        pages = source.poll(Full())
        await anext(pages)
        server.kill()
        with pytest.raises(UnavailableError):
            await anext(pages)
        await source.close()
    finally:
        server.remove()
