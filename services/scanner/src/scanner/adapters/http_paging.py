"""Reads a list to its end, in whichever of the usual ways an API cuts it into pages.

An end is believed when the API says so: an empty page, no next cursor, no link. A short page is no
end, because APIs cap what they are asked for.
"""

import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from chassis.http import HttpClient
from chassis.http.errors import ApiBodyError
from scanner.adapters.http_bodies import records_of, total_of
from scanner.domain.hashing import find
from scanner.domain.records import RawRecord
from scanner.settings.http import ByCursor, ByLink, ByNumber, ByOffset, Call

MAX_PAGES = 100_000

_NEXT_LINK = re.compile(r"<([^<>\s]{1,4000})>[^,<]{0,200};\s{0,5}rel=\"?next\"?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a list."""

    records: list[RawRecord]
    total: int | None = None


@dataclass(slots=True)
class _Place:
    """Where the next page begins."""

    address: str
    params: dict[str, str]
    pages: int = 0
    told: int = 0
    seen: set[str] = field(default_factory=set)
    is_end: bool = False


async def read_pages(
    client: HttpClient, call: Call, params: Mapping[str, str]
) -> AsyncGenerator[ListPage]:
    """Yield the pages of a list.

    Raises:
        ApiBodyError: a page does not look as configured, or the paging goes in circles.
    """
    place = _Place(call.path, {**call.params, **params, **_first(call)})
    last: list[RawRecord] = []
    while not place.is_end:
        reply = await client.fetch(
            place.address,
            params=place.params or None,
            method=call.method,
            body=call.body,
            accept=call.format,
        )
        records = records_of(reply.data, call)
        if records and records == last:
            raise ApiBodyError("the API tells the same page again; is `paging` configured right?")
        last = records
        place.pages += 1
        place.told += len(records)
        yield ListPage(records, total_of(reply.data, call))
        _advance(place, call, count=len(records), data=reply.data, headers=reply.headers)
        if place.pages >= MAX_PAGES:
            raise ApiBodyError(f"the list has no end within {MAX_PAGES} pages")


def _first(call: Call) -> dict[str, str]:
    match call.paging:
        case ByNumber() | ByOffset() as paging:
            first = {paging.param: str(paging.first)}
            return first | ({paging.size_param: str(paging.size)} if paging.size_param else {})
        case _:
            return {}


def _advance(
    place: _Place, call: Call, *, count: int, data: object, headers: Mapping[str, str]
) -> None:
    match call.paging:
        case ByNumber() as paging:
            place.params[paging.param] = str(paging.first + place.pages)
            place.is_end = not count
        case ByOffset() as paging:
            place.params[paging.param] = str(paging.first + place.told)
            place.is_end = not count
        case ByCursor() as paging:
            cursor = find(data, paging.next)
            place.is_end = cursor in (None, "", False)
            place.params[paging.param] = _new(place, str(cursor))
        case ByLink():
            link = _NEXT_LINK.search(headers.get("link", ""))
            place.is_end = link is None
            place.address = _new(place, link.group(1)) if link else ""
            place.params = {}
        case None:
            place.is_end = True


def _new(place: _Place, mark: str) -> str:
    if mark in place.seen and not place.is_end:
        raise ApiBodyError("the API leads back to a page that was read already")
    place.seen.add(mark)
    return mark
