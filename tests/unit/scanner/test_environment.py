import pytest

from chassis.errors import SettingsError
from contracts.errors import ErrorCategory
from scanner.settings.environment import load_scanner_settings

HUB = {"KAFKA_BOOTSTRAP_SERVERS": "broker:9092", "DATABASE_URL": "postgresql://u:p@db/penstock"}
LEGACY = {
    "API_USERNAME": "u1",
    "API_PASSWORD": "p1",
    "PROXY_USER": "u2",
    "PROXY_PASSWORD": "p2",
    "PROXY_URL": "http://proxy:8080",
    "NAS_USERNAME": "u3",
    "NAS_PASSWORD": "hunter2-hunter2",
    "NAS_SERVER_IP": "10.9.8.7",
    "NAS_SERVER_NAME": "filer01",
    "NAS_SHARE_NAME": "data",
    "NAS_BASE_PATH": "Finance",
    "CONFIG_PATH": "Inputs/config.yaml",
    "CLIENT_MACHINE_NAME": "penstock",
}


def problems(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_scanner_settings(environment)
    assert caught.value.category is ErrorCategory.ENVIRONMENT_VALIDATION
    for value in environment.values():
        assert value not in str(caught.value)
    found: list[str] = caught.value.facts["problems"]
    return found


@pytest.mark.covers("S1-03", "C-01")
def test_thirteen_names_are_enough_and_two_have_defaults() -> None:
    settings = load_scanner_settings(HUB | LEGACY)
    assert len(LEGACY) == 13
    assert settings.legacy.proxy_domain == "MAPLE"
    assert settings.legacy.nas_port == 445
    assert settings.config_path == "Inputs/config.yaml"


@pytest.mark.covers("S1-04", "S1-28", "C-01")
def test_every_missing_name_is_reported_at_once_and_no_value() -> None:
    missing = sorted(set(LEGACY) - {"CONFIG_PATH", "NAS_PASSWORD"})
    found = problems(HUB | {"CONFIG_PATH": "Inputs/config.yaml", "NAS_PASSWORD": "hunter2-hunter2"})
    assert found == [f"`{name}` is missing" for name in missing]


@pytest.mark.parametrize("name", sorted(set(LEGACY) - {"CONFIG_PATH"}))
def test_each_of_the_thirteen_is_required(name: str) -> None:
    environment = {key: value for key, value in (HUB | LEGACY).items() if key != name}
    assert problems(environment) == [f"`{name}` is missing"]


@pytest.mark.covers("C-01")
def test_a_switch_makes_the_api_credentials_optional() -> None:
    environment = {key: value for key, value in LEGACY.items() if not key.startswith("API_")}
    settings = load_scanner_settings(
        HUB | environment | {"SCANNER_API_CREDENTIALS_OPTIONAL": "true"}
    )
    assert settings.legacy.api_username is None


def test_without_a_configuration_on_the_nas_none_of_them_is_asked_for() -> None:
    settings = load_scanner_settings(HUB | {"API_USERNAME": "u1"})
    assert settings.config_path is None
    assert settings.nas is None


@pytest.mark.covers("S1-03")
def test_the_port_can_be_chosen_and_must_be_one() -> None:
    assert load_scanner_settings(HUB | LEGACY | {"NAS_PORT": "1445"}).legacy.nas_port == 1445
    assert len(problems(HUB | LEGACY | {"NAS_PORT": "99999999"})) == 1


def test_a_mistyped_name_is_reported_with_the_likely_one() -> None:
    assert problems(HUB | {"SCANNER_INTERVALL_SECONDS": "60"}) == [
        "`SCANNER_INTERVALL_SECONDS` is not a setting (did you mean `SCANNER_INTERVAL_SECONDS`?)"
    ]


@pytest.mark.covers("S1-28")
def test_secrets_are_not_shown_by_the_settings_themselves() -> None:
    text = repr(load_scanner_settings(HUB | LEGACY))
    for name in ("API_PASSWORD", "PROXY_PASSWORD", "PROXY_URL", "NAS_PASSWORD"):
        assert f"'{LEGACY[name]}'" not in text
