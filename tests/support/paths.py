"""Where things are that tests read."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

SHARED_DATA = PROJECT.parent / "shared" / "data"
"""The collection of real inputs; not part of the project."""


def shared_data(*parts: str) -> Path:
    """Return a path below the collection of real inputs, which lies beside the project."""
    path = SHARED_DATA.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: this test reads real inputs from the folder `shared/data` "
            "beside the project; lay it there, or leave these tests out."
        )
    return path
