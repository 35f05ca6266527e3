"""Servers that demand more than the usual: which backend is taken, what it negotiates, and what is
refused although it looks fine.
"""

import contextlib
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest
from structlog.testing import capture_logs

from chassis.errors import TransientError
from chassis.settings import NasSettings
from chassis.shares.open import open_share
from chassis.shares.port import (
    Share,
    ShareLogonError,
    ShareNotFoundError,
    ShareRefusedError,
    ShareUnavailableError,
    UnsupportedServerError,
)
from chassis.shares.pysmb import PysmbShare
from chassis.shares.smbprotocol import SmbprotocolShare
from chassis.sources import ShareConfig
from tests.support.eventually import eventually
from tests.support.samba import Samba

StartSamba = Callable[..., Samba]
OpenShare = Callable[..., Share]

SMB2_FLAGS_AT, SMB2_SIGNATURE_AT = 16, 48
FLAG_SIGNED = 0x8
READ = 8


@pytest.fixture
def start_samba() -> Generator[StartSamba]:
    servers: list[Samba] = []

    def start(*options: str, share_options: tuple[str, ...] = ()) -> Samba:
        server = Samba(*options, share_options=share_options)
        servers.append(server)
        (server.folder / "file.xml").write_bytes(b"the content of the file")
        server.start()
        return server

    yield start
    for server in servers:
        server.remove()


@pytest.fixture
async def opened() -> AsyncGenerator[OpenShare]:
    shares: list[Share] = []

    def connect(nas: NasSettings, **config: Any) -> Share:
        share = open_share(
            ShareConfig.model_validate({"kind": "smb", "timeout_seconds": 3, **config}), nas
        )
        shares.append(share)
        return share

    yield connect
    for share in shares:
        await share.close()


async def content(share: Share) -> bytes:
    return (await share.read_file("file.xml", max_bytes=1000)).data


# --- which backend ---------------------------------------------------------------------------
@pytest.mark.covers("S1-01")
@pytest.mark.parametrize(
    ("options", "share_options", "chosen"),
    [
        ((), (), ("pysmb", "2.0.2", "clear")),
        (("server signing = mandatory",), (), ("pysmb", "2.0.2", "signed")),
        (("server min protocol = SMB2_10",), (), ("smbprotocol", "3.1.1", "signed")),
        (("server min protocol = SMB3_11",), (), ("smbprotocol", "3.1.1", "signed")),
        (("smb encrypt = required",), (), ("smbprotocol", "3.1.1", "encrypted")),
        ((), ("smb encrypt = required",), ("smbprotocol", "3.1.1", "encrypted")),
    ],
    ids=["default", "signing", "SMB 2.1", "SMB 3.1.1", "encryption", "encrypted share"],
)
async def test_auto_takes_pysmb_where_the_server_lets_it_in(
    start_samba: StartSamba,
    opened: OpenShare,
    options: tuple[str, ...],
    share_options: tuple[str, ...],
    chosen: tuple[str, str, str],
) -> None:
    samba = start_samba(*options, share_options=share_options)
    share = opened(samba.settings())
    with capture_logs() as lines:
        assert await content(share) == b"the content of the file"
        assert await content(share) == b"the content of the file"
    [line] = [line for line in lines if line["event"] == "share_backend_chosen"]
    assert (line["backend"], line["dialect"]) == chosen[:2]
    assert line["is_encrypted"] == (chosen[2] == "encrypted")
    assert line["is_encrypted"] or line["is_signed"] == (chosen[2] == "signed")
    assert line["reason"]
    assert "127.0.0.1" not in repr(lines)


@pytest.mark.parametrize("demand", ["verify_signatures", "require_encryption"])
async def test_protection_that_the_source_demands_is_given(
    start_samba: StartSamba, opened: OpenShare, demand: str
) -> None:
    share = opened(start_samba().settings(), **{demand: True})
    description = await share.describe()
    assert description.backend == "smbprotocol"
    assert description.is_encrypted == (demand == "require_encryption")
    assert description.verifies_signatures
    assert await content(share) == b"the content of the file"


async def test_a_server_that_cannot_encrypt_is_refused_where_the_source_demands_it(
    start_samba: StartSamba, opened: OpenShare
) -> None:
    samba = start_samba("smb encrypt = off")
    with pytest.raises(UnsupportedServerError, match="cannot encrypt"):
        await opened(samba.settings(), require_encryption=True).describe()


async def test_pysmb_alone_says_what_the_server_demands(
    start_samba: StartSamba, opened: OpenShare
) -> None:
    samba = start_samba("server min protocol = SMB2_10")
    with pytest.raises(UnsupportedServerError, match=r"SMB 2\.1 or later"):
        await opened(samba.settings(), backend="pysmb").describe()


async def test_a_policy_that_is_tightened_meanwhile_changes_the_backend(
    start_samba: StartSamba, opened: OpenShare
) -> None:
    samba = start_samba()
    share = opened(samba.settings())
    assert (await share.describe()).backend == "pysmb"
    samba.kill()
    samba.configure("smb encrypt = required")
    samba.start()
    assert await content(share) == b"the content of the file"
    assert (await share.describe()).backend == "smbprotocol"


async def test_old_servers_are_read_by_the_second_backend_too(
    start_samba: StartSamba, opened: OpenShare
) -> None:
    samba = start_samba("server max protocol = SMB2_02")
    share = opened(samba.settings(), backend="smbprotocol")
    assert (await share.describe()).dialect == "2.0.2"
    assert await content(share) == b"the content of the file"
    await share.write_file("big.xml", b"x" * 300_000)
    assert len((await share.read_file("big.xml", max_bytes=300_000)).data) == 300_000


# --- who is let in ---------------------------------------------------------------------------
@pytest.mark.parametrize("backend", ["pysmb", "smbprotocol", "auto"])
async def test_being_taken_for_a_guest_is_a_refusal(
    start_samba: StartSamba, opened: OpenShare, backend: str
) -> None:
    guests = ("guest ok = yes", "valid users =")
    samba = start_samba("map to guest = bad password", share_options=guests)
    share = opened(samba.settings(password="wrong"), backend=backend)
    with pytest.raises(ShareLogonError):
        await share.list_directory("")


async def test_auto_tries_a_wrong_password_once(start_samba: StartSamba, opened: OpenShare) -> None:
    samba = start_samba()
    share = opened(samba.settings(password="wrong"))
    for _ in range(5):
        with pytest.raises(ShareLogonError):
            await share.list_directory("")
    await eventually(lambda: samba.refused_logons() > 0)
    assert samba.refused_logons() == 1


@pytest.mark.parametrize("backend", ["pysmb", "smbprotocol", "auto"])
async def test_an_account_that_may_not_use_the_share_waits(
    start_samba: StartSamba, opened: OpenShare, backend: str
) -> None:
    samba = start_samba(share_options=("valid users = root",))
    with pytest.raises(ShareUnavailableError):
        await opened(samba.settings(), backend=backend).stat("file.xml")


@pytest.mark.parametrize("backend", ["pysmb", "smbprotocol"])
async def test_a_share_that_is_not_there_proves_no_deletion(
    start_samba: StartSamba, opened: OpenShare, backend: str
) -> None:
    nas = start_samba().settings().model_copy(update={"share_name": "elsewhere"})
    with pytest.raises(ShareUnavailableError, match="no such share"):
        await opened(nas, backend=backend).stat("file.xml")


@pytest.mark.parametrize("backend", ["pysmb", "smbprotocol"])
async def test_ntlm_that_the_server_refuses_is_a_refused_logon(
    start_samba: StartSamba, opened: OpenShare, backend: str
) -> None:
    samba = start_samba("ntlm auth = disabled")
    with pytest.raises(TransientError) as refused:
        await opened(samba.settings(), backend=backend).describe()
    assert refused.value.retry_after


# --- where on the share ----------------------------------------------------------------------
@pytest.mark.covers("S1-03", "S1-26")
@pytest.mark.parametrize("backend", ["pysmb", "smbprotocol"])
@pytest.mark.parametrize("base_path", ["Finance/Calls", "\\Finance\\Calls\\", "/Finance/Calls/"])
async def test_a_source_sees_the_part_of_the_share_below_its_base(
    start_samba: StartSamba, opened: OpenShare, backend: str, base_path: str
) -> None:
    samba = start_samba()
    base = samba.folder / "Finance/Calls/Outputs"
    base.mkdir(parents=True)
    (base / "inner.xml").write_bytes(b"")
    nas = samba.settings().model_copy(update={"base_path": base_path})
    share = opened(nas, backend=backend, root="Outputs")
    assert [entry.name for entry in await share.list_directory("")] == ["inner.xml"]
    with pytest.raises(ShareNotFoundError) as missing:
        await share.stat("missing.xml")
    assert missing.value.facts["path"] == "missing.xml"


@pytest.mark.parametrize("backend", ["pysmb", "smbprotocol"])
async def test_a_dfs_root_is_read_and_its_links_are_refused(
    start_samba: StartSamba, opened: OpenShare, backend: str
) -> None:
    samba = start_samba("host msdfs = yes", share_options=("msdfs root = yes",))
    (samba.folder / "folder").mkdir()
    samba.own(samba.folder / "folder")
    (samba.folder / "link").symlink_to("msdfs:elsewhere\\share")
    share = opened(samba.settings(), backend=backend)
    await share.write_file("folder/new.xml", b"old")
    await share.write_file("folder/new.xml", b"new")
    names = {entry.name for entry in await share.list_directory("")}
    assert {"file.xml", "folder", "link"} <= names
    assert [entry.name for entry in await share.list_directory("folder")] == ["new.xml"]
    assert (await share.read_file("folder/new.xml", max_bytes=9)).data == b"new"
    with pytest.raises(ShareRefusedError):
        await share.list_directory("link")


# --- who else is on the line -----------------------------------------------------------------
@pytest.mark.parametrize("backend", [PysmbShare, SmbprotocolShare])
async def test_an_answer_that_was_changed_is_refused_on_a_signed_session(
    start_samba: StartSamba, backend: Callable[..., Share]
) -> None:
    samba = start_samba("server signing = mandatory")
    with _tampering(samba.port, _other_content) as port:
        share = backend(samba.settings(port=port), timeout_seconds=3)
        with pytest.raises(ShareUnavailableError):
            await content(share)
        await share.close()


@pytest.mark.parametrize("backend", [PysmbShare, SmbprotocolShare])
async def test_an_answer_whose_signature_was_taken_off_is_refused(
    start_samba: StartSamba, backend: Callable[..., Share]
) -> None:
    samba = start_samba("server signing = mandatory")
    with _tampering(samba.port, lambda frame: _unsigned(_other_content(frame))) as port:
        share = backend(samba.settings(port=port), timeout_seconds=3)
        with pytest.raises(ShareUnavailableError):
            await content(share)
        await share.close()


async def test_an_unsigned_session_takes_anything_which_is_why_it_can_be_forbidden(
    start_samba: StartSamba,
) -> None:
    samba = start_samba()
    with _tampering(samba.port, _other_content) as port:
        share = PysmbShare(samba.settings(port=port), timeout_seconds=3)
        assert await content(share) == b"the CONTENT of the file"
        await share.close()


def _other_content(frame: bytes) -> bytes:
    return frame.replace(b"the content of", b"the CONTENT of")


def _unsigned(frame: bytes) -> bytes:
    if b"CONTENT" not in frame:
        return frame
    plain = bytearray(frame)
    # Both messages of the chain: the second one starts where the first says.
    start = 0
    while True:
        plain[start + SMB2_FLAGS_AT] &= ~FLAG_SIGNED
        plain[start + SMB2_SIGNATURE_AT : start + SMB2_SIGNATURE_AT + 16] = bytes(16)
        step = int.from_bytes(plain[start + 20 : start + 24], "little")
        if not step:
            return bytes(plain)
        start += step


@contextlib.contextmanager
def _tampering(port: int, change: Callable[[bytes], bytes]) -> Generator[int]:
    """Forward one connection at a time, frame by frame, and change the server's answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as until:
        threads: list[threading.Thread] = []

        def forward(source: socket.socket, target: socket.socket, *, is_answer: bool) -> None:
            with contextlib.suppress(OSError):
                while frame := _frame(source):
                    data = change(frame) if is_answer else frame
                    target.sendall(len(data).to_bytes(4, "big") + data)
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    server = socket.create_connection(("127.0.0.1", port))
                    until.callback(client.close)
                    until.callback(server.close)
                    for source, target in ((client, server), (server, client)):
                        thread = threading.Thread(
                            target=forward,
                            args=(source, target),
                            kwargs={"is_answer": source is server},
                        )
                        threads.append(thread)
                        thread.start()

        acceptor = threading.Thread(target=serve)
        acceptor.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join()
        for thread in threads:
            thread.join()


def _frame(source: socket.socket) -> bytes:
    length = int.from_bytes(_exactly(source, 4), "big")
    return _exactly(source, length)


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = source.recv(count - len(data))
        if not chunk:
            raise ConnectionError
        data += chunk
    return data
