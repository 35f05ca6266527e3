"""What an operator checks before the first scan (S1-36): one line each, nothing is changed."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from chassis.errors import PenstockError, PermanentError
from chassis.shares.port import Share
from scanner.handlers.anchor import Anchor
from scanner.handlers.catalog import FileSource, SourceCatalog
from scanner.handlers.record_catalog import RecordCatalog, RecordSourceEntry
from scanner.ports.records import RecordSource


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    is_good: bool
    text: str


async def check_sources(
    catalog: SourceCatalog, open_share: Callable[[FileSource], Share]
) -> AsyncGenerator[Finding]:
    """Check each source: its configuration, its share, its scanned folders, its anchor."""
    for name in sorted(catalog.names()):
        try:
            source = await catalog.resolve(name)
        except PenstockError as error:
            yield Finding(f"{name}: {error.category.value}", is_good=False, text=error.message)
            continue
        yield Finding(
            f"{name}: configuration",
            is_good=True,
            text=f"{len(source.institutions)} monitored institutions",
        )
        share = open_share(source)
        try:
            async for finding in _check_share(source, share):
                yield finding
        except PenstockError as error:
            yield Finding(f"{name}: {error.category.value}", is_good=False, text=error.message)
        finally:
            await share.close()


async def _check_share(source: FileSource, share: Share) -> AsyncGenerator[Finding]:
    description = await share.describe()
    yield Finding(
        f"{source.name}: share",
        is_good=True,
        text=f"{description.backend} {description.dialect}".strip()
        + f", signed: {_yes(description.is_signed)}"
        + f", encrypted: {_yes(description.is_encrypted)}",
    )
    for path in source.scan.paths:
        try:
            entries = await share.list_directory(path)
        except PermanentError as error:
            text = f"{error.message} ({error.category.value})"
            yield Finding(f"{source.name}: folder {path or '/'}", is_good=False, text=text)
            continue
        yield Finding(
            f"{source.name}: folder {path or '/'}",
            is_good=bool(entries),
            text=f"{len(entries)} entries" if entries else "is empty, as if nothing were mounted",
        )
    anchor = Anchor(share, sentinel=source.scan.sentinel, folders=source.scan.expected_folders)
    problem = await anchor.problem()
    yield Finding(f"{source.name}: anchor", is_good=problem is None, text=problem or "in place")


def _yes(value: bool) -> str:  # noqa: FBT001 - renders a flag
    return "yes" if value else "no"


async def check_records(
    catalog: RecordCatalog, open_records: Callable[[RecordSourceEntry], RecordSource]
) -> AsyncGenerator[Finding]:
    """Check each record source: does it answer, and take the credentials and the request?"""
    for entry in sorted(catalog.all(), key=lambda item: item.name):
        source = open_records(entry)
        try:
            async with asyncio.timeout(entry.scan.timeout_seconds):
                description = await source.describe()
        except TimeoutError:
            yield Finding(f"{entry.name}: source", is_good=False, text="does not answer in time")
        except PenstockError as error:
            yield Finding(
                f"{entry.name}: {error.category.value}", is_good=False, text=error.message
            )
        else:
            text = f"{description.kind}: {description.text}"
            yield Finding(f"{entry.name}: source", is_good=True, text=text)
        finally:
            await source.close()
