"""One hub for the whole layer: it takes a minute to live through."""

import asyncio
import shutil
from collections.abc import Generator

import pytest

from penstock.stack import Stack, read_settings
from tests.e2e.story import Story, tell
from tests.support.errors import MissingServerError
from tests.support.servers import server_folder


@pytest.fixture(scope="session")
def story() -> Generator[Story]:
    folder = server_folder("penstock-e2e-")
    try:
        with Stack(settings=read_settings().in_folder(folder), fast=True).up(tied=True) as stack:
            if not stack.has_real_share:
                raise MissingServerError(
                    "The end-to-end tests need Samba: run scripts/install-system.sh, "
                    "or install the Debian package samba."
                )
            told = asyncio.run(tell(stack))
        yield told
    finally:
        shutil.rmtree(folder, ignore_errors=True)
