from pathlib import Path

import pytest
import yaml

from chassis.errors import PenstockError
from chassis.shares.local import LocalShare
from chassis.shares.port import Share, ShareUnavailableError
from chassis.sources import ConfigError, ShareConfig
from contracts.errors import ErrorCategory
from scanner import app
from scanner.domain.institutions import InstitutionDirectory, MonitoredInstitution
from scanner.errors import ScanRequestError
from scanner.handlers.catalog import FileSource, NasConfigReader, SourceCatalog
from scanner.handlers.checks import Finding, check_sources
from scanner.settings.environment import load_scanner_settings
from scanner.settings.scan import ScanConfig
from tests.support.clocks import HandClock
from tests.support.paths import PROJECT

EXAMPLE = PROJECT / "config" / "nas" / "config.yaml"
BASE = "Finance Data and Analytics/DSA/Earnings Call Transcripts"
FOLDER = "Data/2024/Q1/Canadian_Banks/RY-CA_Royal_Bank_of_Canada"


class Nas:
    """A NAS that is a folder, and can be away."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.opened = 0
        self.is_away = False
        self.clock = HandClock()
        self.write(EXAMPLE.read_text("utf-8"))

    def write(self, text: str) -> None:
        (self.root / "config.yaml").write_text(text, "utf-8")

    def open(self) -> Share:
        self.opened += 1
        if self.is_away:
            raise ShareUnavailableError
        return LocalShare(self.root, connections=1)

    def reader(self) -> NasConfigReader:
        return NasConfigReader(self.open, "config.yaml", clock=self.clock, keep_seconds=300)

    def catalog(self, scan: ScanConfig, institutions: InstitutionDirectory) -> SourceCatalog:
        source = FileSource(
            "transcripts", ShareConfig(kind="smb", root="Outputs"), scan, institutions
        )
        return SourceCatalog({"transcripts": source}, nas=self.reader(), base_path=BASE)


@pytest.fixture
def nas(tmp_path: Path) -> Nas:
    return Nas(tmp_path)


@pytest.mark.covers("S1-05", "E-03", "C-07")
async def test_a_source_is_completed_from_the_nas(nas: Nas) -> None:
    catalog = nas.catalog(ScanConfig(nas_config=True), InstitutionDirectory())
    assert not len(catalog.institutions("transcripts"))
    source = await catalog.resolve("transcripts")
    assert source.scan.paths == ("Data",)
    assert len(source.institutions) == 7
    assert catalog.institutions("transcripts").find(f"{FOLDER}/x.xml") is not None


async def test_a_source_that_does_not_ask_for_it_never_opens_the_nas(nas: Nas) -> None:
    catalog = nas.catalog(ScanConfig(), InstitutionDirectory())
    assert (await catalog.resolve("transcripts")).scan.paths == ("",)
    assert nas.opened == 0


@pytest.mark.covers("E-03")
async def test_the_sources_own_institutions_win(nas: Nas) -> None:
    own = InstitutionDirectory([MonitoredInstitution("A-US", "A", "T", "A-US_A")])
    source = await nas.catalog(ScanConfig(nas_config=True), own).resolve("transcripts")
    assert len(source.institutions) == 1


async def test_the_configuration_is_read_again_when_it_is_old(nas: Nas) -> None:
    reader = nas.reader()
    await reader.current()
    await reader.current()
    assert nas.opened == 1
    document = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    document["monitored_institutions"].popitem()
    nas.write(yaml.safe_dump(document))
    nas.clock.seconds = 301
    assert len((await reader.current()).directory()) == 6


async def test_the_last_good_configuration_stands_in_an_outage(nas: Nas) -> None:
    reader = nas.reader()
    good = await reader.current()
    nas.clock.seconds = 301
    nas.is_away = True
    assert await reader.current() == good
    nas.is_away = False
    nas.write("a: [")
    nas.clock.seconds = 602
    assert await reader.current() == good


@pytest.mark.covers("S1-29")
@pytest.mark.parametrize(
    ("content", "category"),
    [
        (None, ErrorCategory.NAS_DOWNLOAD),
        ("a: [", ErrorCategory.CONFIG_PARSE),
        ("\udcff", ErrorCategory.CONFIG_PARSE),
        ("{}", ErrorCategory.CONFIG_VALIDATION),
    ],
)
async def test_a_first_configuration_that_cannot_be_used_is_an_error(
    nas: Nas, content: str | None, category: ErrorCategory
) -> None:
    target = nas.root / "config.yaml"
    if content is None:
        target.unlink()
    else:
        target.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(PenstockError) as caught:
        await nas.reader().current()
    assert caught.value.category is category


async def test_an_unknown_source_is_refused(nas: Nas) -> None:
    with pytest.raises(ScanRequestError):
        await nas.catalog(ScanConfig(), InstitutionDirectory()).resolve("other")


async def test_asking_for_the_nas_without_its_path_is_refused() -> None:
    source = FileSource(
        "s", ShareConfig(kind="smb"), ScanConfig(nas_config=True), InstitutionDirectory()
    )
    with pytest.raises(ConfigError, match="CONFIG_PATH"):
        await SourceCatalog({"s": source}, nas=None, base_path="").resolve("s")


async def findings(root: Path, scan: ScanConfig) -> list[Finding]:
    source = FileSource(
        "local", ShareConfig(kind="local", root=str(root)), scan, InstitutionDirectory()
    )
    catalog = SourceCatalog({"local": source}, nas=None, base_path="")
    opened = check_sources(catalog, lambda item: LocalShare(Path(item.share.root)))
    return [finding async for finding in opened]


@pytest.mark.covers("S1-36")
async def test_the_checks_say_that_a_share_is_in_order(tmp_path: Path) -> None:
    (tmp_path / "Data" / "2024").mkdir(parents=True)
    found = await findings(tmp_path, ScanConfig(paths=("Data",), sentinel="Data"))
    assert all(finding.is_good for finding in found)
    assert [finding.check for finding in found] == [
        "local: configuration",
        "local: share",
        "local: folder Data",
        "local: anchor",
    ]


@pytest.mark.covers("S1-36")
async def test_the_checks_name_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "Data").mkdir()
    found = await findings(tmp_path, ScanConfig(paths=("Data",), sentinel=".mounted"))
    wrong = {finding.check: finding.text for finding in found if not finding.is_good}
    assert wrong["local: folder Data"] == "is empty, as if nothing were mounted"
    assert ".mounted" in wrong["local: anchor"]
    found = await findings(tmp_path, ScanConfig(paths=("Missing",)))
    (missing,) = [finding for finding in found if not finding.is_good]
    assert missing.check == "local: folder Missing"
    assert missing.text.endswith("(nas_list_files)")


@pytest.mark.covers("S1-36", "S1-35")
async def test_the_service_checks_itself_from_its_environment(tmp_path: Path) -> None:
    (tmp_path / "share" / "Data" / "2024").mkdir(parents=True)
    sources = {
        "version": 1,
        "sources": [
            {
                "name": "local",
                "share": {"kind": "local", "root": str(tmp_path / "share")},
                "scan": {"paths": ["Data"], "institutions_file": "institutions.yaml"},
            }
        ],
    }
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump(sources))
    (tmp_path / "institutions.yaml").write_text(EXAMPLE.read_text("utf-8"))
    settings = load_scanner_settings(
        {
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "PENSTOCK_CONFIG_DIRECTORY": str(tmp_path),
        }
    )
    found = {item.check: item for item in await app.check(settings)}
    assert found["local: configuration"].is_ok
    assert found["local: configuration"].message == "7 monitored institutions"
    assert not found["kafka"].is_ok
    (tmp_path / "sources.yaml").write_text("version: 2")
    (first, *_) = await app.check(settings)
    assert (first.is_ok, first.category) == (False, "config_validation")
    assert first.message.startswith("`sources.yaml`")
