import pytest

from chassis.errors import SettingsError
from chassis.settings import load_settings
from console.__main__ import main
from console.app.service import read_site
from console.settings import ConsoleSettings

_NEEDED = {"KAFKA_BOOTSTRAP_SERVERS": "b:9092", "DATABASE_URL": "postgresql://h/d"}


def _load(**values: str) -> ConsoleSettings:
    return load_settings(ConsoleSettings, environment=_NEEDED | values)


def test_without_an_address_the_console_is_for_this_machine() -> None:
    site = read_site(_load().web, 8123)
    assert site.address == "http://127.0.0.1:8123"
    assert "http://[::1]:8123" in site.origins
    assert not site.is_secure


@pytest.mark.parametrize("address", ["http://penstock.example.org", "ftp://x", "penstock"])
def test_passwords_do_not_travel_in_the_clear(address: str) -> None:
    with pytest.raises(SettingsError, match="CONSOLE_PUBLIC_URL"):
        _load(CONSOLE_PUBLIC_URL=address)
    with pytest.raises(SettingsError, match="CONSOLE_PUBLIC_URL"):
        _load(CONSOLE_HOST="0.0.0.0")


def test_behind_a_public_address_there_is_one_origin() -> None:
    settings = _load(CONSOLE_HOST="0.0.0.0", CONSOLE_PUBLIC_URL="https://penstock.example.org/x")
    site = read_site(settings.web, 8123)
    assert site.origins == {"https://penstock.example.org"}
    assert site.hosts == {"penstock.example.org"}
    assert site.is_secure


def test_an_identity_provider_is_optional_and_then_complete() -> None:
    assert _load().oidc is None
    with pytest.raises(SettingsError, match="CONSOLE_OIDC_CLIENT_ID"):
        _load(CONSOLE_OIDC_ISSUER="https://id.example.org")


def test_missing_settings_are_named_all_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["console"])
    assert main() == 1
    assert "`DATABASE_URL` is missing" in capsys.readouterr().err
