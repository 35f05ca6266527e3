from hypothesis import given
from hypothesis import strategies as st

from transformer.domain.chunks import ChunkLimits, cut


def test_chunks_end_at_the_first_limit_they_meet() -> None:
    sizes = {"a": 4, "b": 4, "c": 4, "d": 90, "e": 1}
    limits = ChunkLimits(entities=3, size_bytes=10)
    assert list(cut("abcdefghi", sizes, limits)) == [
        ["a", "b"],
        ["c"],
        ["d"],
        ["e", "f", "g"],
        ["h", "i"],
    ]


def test_nothing_has_no_chunks() -> None:
    assert list(cut([], {}, ChunkLimits(1, 1))) == []


@given(st.lists(st.integers(0, 50)), st.integers(1, 5), st.integers(1, 60))
def test_no_id_is_lost_and_no_limit_passed(sizes: list[int], entities: int, size: int) -> None:
    ids = [str(index) for index in range(len(sizes))]
    by_id = dict(zip(ids, sizes, strict=True))
    chunks = list(cut(ids, by_id, ChunkLimits(entities, size)))
    assert [item for chunk in chunks for item in chunk] == ids
    for chunk in chunks:
        assert len(chunk) <= entities
        assert len(chunk) == 1 or sum(by_id[item] for item in chunk) <= size


def test_pages_side_by_side_have_no_more_documents_in_memory_than_one_page_has() -> None:
    limits = ChunkLimits(entities=10, size_bytes=900)
    assert [limits.among(pages).size_bytes for pages in (1, 2, 3)] == [900, 900, 600]
    assert ChunkLimits(entities=10, size_bytes=1).among(3).size_bytes == 1
    assert limits.among(3).entities == 10
