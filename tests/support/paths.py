"""Where things are that tests read."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


def shared_data(*parts: str) -> Path:
    """Return a path below the collection of real inputs, which lies beside the project."""
    root = PROJECT.parent / "shared" / "data"
    path = root.joinpath(*parts)
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: this test reads real inputs from the folder `shared/data` "
            "beside the project; lay it there, or leave these tests out."
        )
    return path
