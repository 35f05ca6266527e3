import json
from collections.abc import AsyncGenerator

import pytest

from ingestor.adapters.parser_pool import INLINE_BYTES, ParserPool
from ingestor.domain.canonical import content_hash
from ingestor.errors import UnsafeDocumentError
from ingestor.ports import ParseTask


@pytest.fixture
async def pool() -> AsyncGenerator[ParserPool]:
    pool = ParserPool(1)
    yield pool
    await pool.close()


def task(words: str) -> ParseTask:
    return ParseTask(
        parser="transcript_xml",
        path="RY-CA_Q1_2024_Raw_12345_7.xml",
        data=f"<transcript><body><speaker><p>{words}</p></speaker></body></transcript>".encode(),
        max_bytes=1_000_000,
        extra={"institution": {"name": "Royal Bank"}},
    )


@pytest.mark.parametrize("words", ["short", "long " * (INLINE_BYTES // 5)])
async def test_a_document_is_canonical_json_with_what_the_event_knows(
    pool: ParserPool, words: str
) -> None:
    parsed = await pool.parse(task(words))
    document = json.loads(parsed.document)
    assert parsed.entity_id == "RY-CA/12345"
    assert parsed.content_hash == content_hash(parsed.document)
    assert document["institution"] == {"name": "Royal Bank"}
    assert document["sections"][0]["turns"][0]["paragraphs"] == [words.strip()]


async def test_equal_files_have_equal_hashes(pool: ParserPool) -> None:
    one, two = await pool.parse(task("same")), await pool.parse(task("same"))
    assert one == two


@pytest.mark.parametrize("padding", [0, INLINE_BYTES])
async def test_a_refusal_comes_out_of_the_thread_as_it_is(pool: ParserPool, padding: int) -> None:
    bad = ParseTask(
        parser="transcript_xml",
        path="x.xml",
        data=b"<!DOCTYPE x><x/>" + b" " * padding,
        max_bytes=1_000_000,
        extra={},
    )
    with pytest.raises(UnsafeDocumentError):
        await pool.parse(bad)
