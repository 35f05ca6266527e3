from pathlib import Path

import pytest

from chassis.shares.port import FileTooLargeError, ShareNotFoundError, ShareUnavailableError
from chassis.sources import ConfigError, SourcesConfig
from ingestor.adapters.share_files import ShareFiles


def sources(root: Path, **share: object) -> SourcesConfig:
    return SourcesConfig.model_validate(
        {
            "version": 1,
            "sources": [
                {
                    "name": "calls",
                    "share": {"kind": "local", "root": str(root), **share},
                    "ingest": {"parser": "transcript_xml"},
                },
                {"name": "no-share", "ingest": {"parser": "transcript_xml"}},
                {"name": "not-ours", "share": {"kind": "smb"}},
            ],
        }
    )


async def test_a_file_is_read_from_its_source(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.xml").write_bytes(b"<a/>")
    files = ShareFiles.open(sources(tmp_path), None)
    content = await files.read("calls", "sub/a.xml", max_bytes=100)
    assert content.data == b"<a/>"
    with pytest.raises(FileTooLargeError):
        await files.read("calls", "sub/a.xml", max_bytes=3)
    await files.close()


async def test_a_missing_file_is_missing_while_its_root_is_there(tmp_path: Path) -> None:
    files = ShareFiles.open(sources(tmp_path), None)
    with pytest.raises(ShareNotFoundError):
        await files.read("calls", "a.xml", max_bytes=100)
    await files.close()


async def test_a_missing_root_is_an_outage_and_no_file_is_believed_gone(tmp_path: Path) -> None:
    files = ShareFiles.open(sources(tmp_path / "unmounted"), None)
    with pytest.raises(ShareUnavailableError):
        await files.read("calls", "a.xml", max_bytes=100)
    await files.close()


def test_a_share_without_its_settings_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NAS_"):
        ShareFiles.open(sources(tmp_path, kind="smb"), None)
