import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from chassis.errors import PenstockError
from chassis.settings import NasSettings
from chassis.shares.local import LocalShare
from chassis.shares.open import AutoShare, open_share
from chassis.shares.port import (
    Entry,
    FileContent,
    Share,
    ShareDescription,
    ShareNotFoundError,
    ShareUnavailableError,
    UnsafePathError,
    UnsupportedServerError,
)
from chassis.shares.pysmb import PysmbShare
from chassis.shares.smb_wire import ShareRefusesAccountError
from chassis.shares.smbprotocol import SmbprotocolShare
from chassis.sources import ConfigError, ShareConfig


def config(**fields: Any) -> ShareConfig:
    return ShareConfig.model_validate({"kind": "smb", **fields})


def nas(**fields: Any) -> NasSettings:
    return NasSettings.model_validate(
        {
            "NAS_USERNAME": "user",
            "NAS_PASSWORD": SecretStr("secret"),
            "NAS_SERVER_IP": "192.0.2.1",
            "NAS_SERVER_NAME": "NAS",
            "NAS_SHARE_NAME": "data",
            "CLIENT_MACHINE_NAME": "client",
            **fields,
        }
    )


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, AutoShare),
        ({"backend": "pysmb"}, PysmbShare),
        ({"backend": "smbprotocol"}, SmbprotocolShare),
        ({"verify_signatures": True}, SmbprotocolShare),
        ({"require_encryption": True}, SmbprotocolShare),
    ],
)
def test_the_configuration_chooses_the_backend(fields: dict[str, Any], kind: type) -> None:
    assert type(open_share(config(**fields), nas())) is kind


def test_a_local_source_needs_a_folder_and_no_settings() -> None:
    assert isinstance(open_share(config(kind="local", root="/srv/data"), None), LocalShare)
    with pytest.raises(ConfigError):
        open_share(config(kind="local"), None)


@pytest.mark.parametrize("demand", ["verify_signatures", "require_encryption"])
def test_a_contradiction_is_refused(demand: str) -> None:
    with pytest.raises(ConfigError, match="pysmb"):
        open_share(config(backend="pysmb", **{demand: True}), nas())


def test_an_smb_source_needs_settings() -> None:
    with pytest.raises(ConfigError, match="NAS_"):
        open_share(config(), None)


@pytest.mark.covers("S1-09", "S1-26")
@pytest.mark.parametrize(
    ("base_path", "root"), [("..\\other", ""), ("ok", "../other"), ("C:\\Data", "")]
)
def test_an_unsafe_base_is_refused_at_once(base_path: str, root: str) -> None:
    with pytest.raises(UnsafePathError):
        open_share(config(root=root), nas(NAS_BASE_PATH=base_path))


class FakeShare:
    """Lets in or refuses, as the test says."""

    def __init__(self, backend: str, refusal: PenstockError | None = None) -> None:
        self.backend = backend
        self.refusal = refusal
        self.is_closed = False

    def _check(self) -> None:
        assert not self.is_closed, "a closed share was used"
        if self.refusal is not None:
            raise self.refusal

    async def list_directory(self, path: str) -> Sequence[Entry]:
        self._check()
        return [Entry(path, is_directory=False, modified_us=0, size_bytes=0)]

    async def stat(self, path: str) -> Entry:
        self._check()
        raise ShareNotFoundError(path=path)

    async def read_file(self, path: str, *, max_bytes: int) -> FileContent:
        self._check()
        return FileContent(f"{path} {max_bytes}".encode(), 0)

    async def write_file(self, path: str, data: bytes) -> None:  # noqa: ARG002
        self._check()

    async def make_directories(self, path: str) -> None:  # noqa: ARG002
        self._check()

    async def describe(self) -> ShareDescription:
        await asyncio.sleep(0)
        self._check()
        return ShareDescription("smb", self.backend, "2.0.2", False, False, False)

    async def close(self) -> None:
        self.is_closed = True


class Backends:
    """Two backends, each made anew when it is asked for."""

    def __init__(self) -> None:
        self.made: list[FakeShare] = []
        self.refusals: dict[str, PenstockError | None] = {"first": None, "second": None}

    def make(self, name: str) -> Share:
        self.made.append(FakeShare(name, self.refusals[name]))
        return self.made[-1]


@pytest.fixture
def backends() -> Backends:
    return Backends()


@pytest.fixture
async def auto(backends: Backends) -> AsyncGenerator[AutoShare]:
    share = AutoShare(lambda: backends.make("first"), lambda: backends.make("second"))
    yield share
    await share.close()
    assert all(made.is_closed for made in backends.made)


async def test_the_first_backend_is_kept(auto: AutoShare, backends: Backends) -> None:
    with capture_logs() as lines:
        await asyncio.gather(*(auto.list_directory("d") for _ in range(5)))
        assert (await auto.read_file("f", max_bytes=7)).data == b"f 7"
        await auto.write_file("f", b"")
        await auto.make_directories("d")
        with pytest.raises(ShareNotFoundError):
            await auto.stat("f")
    assert [made.backend for made in backends.made] == ["first"]
    assert [line["event"] for line in lines] == ["share_backend_chosen"]
    assert lines[0]["backend"] == "first"


@pytest.mark.parametrize("refusal", [UnsupportedServerError(), ShareRefusesAccountError()])
async def test_the_second_is_taken_where_the_server_demands_more(
    auto: AutoShare, backends: Backends, refusal: PenstockError
) -> None:
    backends.refusals["first"] = refusal
    with capture_logs() as lines:
        assert (await auto.describe()).backend == "second"
    assert [made.is_closed for made in backends.made] == [True, False]
    assert lines[0]["reason"] == refusal.message


async def test_a_server_that_does_not_answer_decides_nothing(
    auto: AutoShare, backends: Backends
) -> None:
    backends.refusals["first"] = ShareUnavailableError()
    with pytest.raises(ShareUnavailableError):
        await auto.list_directory("d")
    backends.refusals["first"] = None
    assert (await auto.describe()).backend == "first"
    assert [made.backend for made in backends.made] == ["first", "first"]


async def test_a_policy_that_changes_changes_the_choice(
    auto: AutoShare, backends: Backends
) -> None:
    await auto.describe()
    backends.made[0].refusal = backends.refusals["first"] = UnsupportedServerError()
    results = await asyncio.gather(*(auto.list_directory("d") for _ in range(3)))
    assert [entry.name for [entry] in results] == ["d", "d", "d"]
    assert [made.backend for made in backends.made] == ["first", "first", "second"]


async def test_a_server_that_refuses_both_is_an_error_of_the_second(
    auto: AutoShare, backends: Backends
) -> None:
    backends.refusals = {"first": UnsupportedServerError(), "second": ShareUnavailableError()}
    with pytest.raises(ShareUnavailableError):
        await auto.stat("f")
