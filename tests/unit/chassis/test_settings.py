"""Settings: every problem at once, no value ever, and the strongest source wins."""

import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, model_validator

from chassis.errors import SettingsError
from chassis.settings import (
    BlobSettings,
    DatabaseSettings,
    KafkaSettings,
    NasSettings,
    ProcessSettings,
    SettingsPart,
    env,
    load_settings,
    secret_values,
)
from contracts.errors import ErrorCategory
from tests.support.authority import Authority

CANARY = "hunter2-canary"
PROTOCOLS = "'^(PLAINTEXT|SASL_SSL|SSL)$'"


class ImportSettings(SettingsPart):
    token: SecretStr = env("IMPORTER_API_TOKEN")
    limit: int = env("IMPORTER_LIMIT", 10, ge=1, le=100)


class Importer(BaseModel):
    model_config = ConfigDict(frozen=True)

    kafka: KafkaSettings
    database: DatabaseSettings
    own: ImportSettings
    nas: NasSettings | None
    process: ProcessSettings


GOOD = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "DATABASE_URL": f"postgresql://user:{CANARY}@db/hub",
    "IMPORTER_API_TOKEN": CANARY,
}
NAS = {
    "NAS_USERNAME": "u",
    "NAS_PASSWORD": CANARY,
    "NAS_SERVER_IP": "10.1.2.3",
    "NAS_SERVER_NAME": "FILER",
    "NAS_SHARE_NAME": "data",
    "CLIENT_MACHINE_NAME": "hub",
}


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


def load(environment: Mapping[str, str]) -> Importer:
    return load_settings(Importer, environment=environment)


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in GOOD.items() if name not in names}


def problems_of(environment: Mapping[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        load(environment)
    problems: list[str] = refusal.value.facts["problems"]
    return problems


def secret_file(folder: Path, name: str, content: str | bytes, *, mode: int = 0o440) -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(mode)
    return file


# --- reading


def test_the_environment_fills_the_parts_and_the_rest_has_defaults() -> None:
    settings = load(GOOD)

    assert settings.kafka.bootstrap_servers == "kafka:9092"
    assert settings.kafka.batch_max_records == 500
    assert settings.database.url.get_secret_value() == f"postgresql://user:{CANARY}@db/hub"
    assert settings.own.limit == 10
    assert settings.nas is None


def test_settings_are_frozen() -> None:
    settings = load(GOOD)

    with pytest.raises(ValidationError, match="frozen"):
        settings.kafka.bootstrap_servers = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.kafka = settings.kafka  # type: ignore[misc]


@pytest.mark.covers("S1-03")
def test_the_names_of_the_share_are_the_original_ones_with_their_defaults() -> None:
    nas = load(GOOD | NAS).nas

    assert nas is not None
    assert (nas.username, nas.server_ip, nas.server_name) == ("u", "10.1.2.3", "FILER")
    assert (nas.share_name, nas.base_path, nas.port) == ("data", "", 445)
    assert (nas.client_machine_name, nas.password.get_secret_value()) == ("hub", CANARY)


# --- problems


@pytest.mark.covers("S1-04", "S2-33")
def test_every_missing_name_is_reported_at_once() -> None:
    assert problems_of({}) == [
        "`DATABASE_URL` is missing",
        "`IMPORTER_API_TOKEN` is missing",
        "`KAFKA_BOOTSTRAP_SERVERS` is missing",
    ]


@pytest.mark.covers("S1-04")
def test_missing_mistyped_and_unknown_names_are_reported_together_and_without_values() -> None:
    environment = {
        "DATABASE_URL": CANARY,
        "IMPORTER_API_TOKEN": CANARY,
        "IMPORTER_LIMIT": CANARY,
        "KAFKA_BATCH_MAX_RECORDS": "9000",
        "KAFKA_BOOTSTRAP_SERVER": CANARY,
        "NAS_PORT": "seventy",
        "PENSTOCK_LOG_LEVEL": CANARY,
    }

    problems = problems_of(environment)

    assert problems == [
        "`CLIENT_MACHINE_NAME` is missing",
        "`DATABASE_URL` is not of the form postgresql://user:password@host:5432/database",
        "`IMPORTER_LIMIT` Input should be a valid integer, unable to parse string as an integer",
        "`KAFKA_BATCH_MAX_RECORDS` Input should be less than or equal to 5000",
        "`KAFKA_BOOTSTRAP_SERVERS` is missing",
        "`KAFKA_BOOTSTRAP_SERVER` is not a setting (did you mean `KAFKA_BOOTSTRAP_SERVERS`?)",
        "`NAS_PASSWORD` is missing",
        "`NAS_PORT` Input should be a valid integer, unable to parse string as an integer",
        "`NAS_SERVER_IP` is missing",
        "`NAS_SERVER_NAME` is missing",
        "`NAS_SHARE_NAME` is missing",
        "`NAS_USERNAME` is missing",
        "`PENSTOCK_LOG_LEVEL` String should match pattern '^(DEBUG|INFO|WARNING|ERROR)$'",
    ]


@pytest.mark.covers("S1-28")
def test_no_value_shows_in_the_error_its_causes_or_its_traceback() -> None:
    environment = GOOD | NAS | {"NAS_PORT": CANARY, "IMPORTER_LIMIT": CANARY, "KAFKA_X": CANARY}

    with pytest.raises(SettingsError) as refusal:
        load(environment)

    shown = "".join(traceback.format_exception(refusal.value)) + repr(refusal.value)
    assert CANARY not in shown
    assert refusal.value.__cause__ is None
    assert refusal.value.__context__ is None
    assert refusal.value.category is ErrorCategory.ENVIRONMENT_VALIDATION


def test_no_secret_shows_in_the_settings_themselves() -> None:
    settings = load(GOOD | NAS)

    assert CANARY not in repr(settings)
    assert CANARY not in str(settings.model_dump())
    assert CANARY not in settings.model_dump_json()


def test_a_rule_over_several_parts_is_reported_like_any_problem() -> None:
    class Strict(BaseModel):
        own: ImportSettings

        @model_validator(mode="after")
        def _refuse(self) -> "Strict":
            raise ValueError("the limit does not fit the token")

    with pytest.raises(SettingsError) as refusal:
        load_settings(Strict, environment=GOOD)

    assert refusal.value.facts["problems"] == ["Value error, the limit does not fit the token"]
    assert CANARY not in str(refusal.value)


def test_a_name_that_two_parts_need_is_reported_once() -> None:
    class AlsoImport(SettingsPart):
        token: SecretStr = env("IMPORTER_API_TOKEN")

    class Twice(BaseModel):
        one: ImportSettings
        other: AlsoImport

    with pytest.raises(SettingsError) as refusal:
        load_settings(Twice, environment={})

    assert refusal.value.facts["problems"] == ["`IMPORTER_API_TOKEN` is missing"]


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
            ["`KAFKA_SASL_PASSWORD` is missing", "`KAFKA_SASL_USERNAME` is missing"],
        ),
        (
            {"KAFKA_SASL_USERNAME": "u"},
            ["`KAFKA_SASL_USERNAME` needs `KAFKA_SECURITY_PROTOCOL` SASL_SSL"],
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "sasl_ssl"},
            [f"`KAFKA_SECURITY_PROTOCOL` String should match pattern {PROTOCOLS}"],
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL"},
            ["`KAFKA_CERTIFICATE_FILE` is missing", "`KAFKA_KEY_FILE` is missing"],
        ),
        ({"KAFKA_CA_FILE": "nowhere.pem"}, ["`KAFKA_CA_FILE` Path does not point to a file"]),
    ],
)
def test_credentials_that_would_not_be_used_or_are_missing_are_refused(
    changes: dict[str, str], problems: list[str]
) -> None:
    assert problems_of(GOOD | changes) == problems


def test_the_password_may_lie_in_a_file_and_is_kept_out_of_sight(secrets: Path) -> None:
    secret_file(secrets, "kafka", f"{CANARY}\n")
    environment = GOOD | {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_USERNAME": "u",
        "KAFKA_SASL_PASSWORD_FILE": str(secrets / "kafka"),
    }

    settings = load(environment)

    assert settings.kafka.sasl_password is not None
    assert settings.kafka.sasl_password.get_secret_value() == CANARY
    assert CANARY in set(secret_values(settings))
    assert problems_of(environment | {"KAFKA_SASL_PASSWORD": "other"}) == [
        "`KAFKA_SASL_PASSWORD` and `KAFKA_SASL_PASSWORD_FILE` exclude each other"
    ]
    (secrets / "kafka").chmod(0o444)
    assert problems_of(environment) == [
        "`KAFKA_SASL_PASSWORD` names a file that everybody may read; set its mode to 0440 or 0400"
    ]


def test_certificates_that_cannot_be_used_are_refused_at_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.issue("one"), authority.issue("other")
    environment = GOOD | {
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_CA_FILE": str(authority.file),
        "KAFKA_CERTIFICATE_FILE": str(one.certificate),
        "KAFKA_KEY_FILE": str(one.key),
    }
    load(environment)

    assert problems_of(
        environment | {"KAFKA_CA_FILE": str(one.key), "KAFKA_KEY_FILE": str(other.key)}
    ) == [
        "`KAFKA_CA_FILE` names a file without a certificate in PEM form",
        "`KAFKA_KEY_FILE` is no private key in PEM form, or does not belong to its certificate",
    ]
    one.key.chmod(0o644)
    assert problems_of(environment) == [
        "`KAFKA_KEY_FILE` names a file that everybody may read; set its mode to 0440 or 0400"
    ]
    assert problems_of(GOOD | {"KAFKA_CA_FILE": str(authority.file)}) == [
        "`KAFKA_CA_FILE` needs `KAFKA_SECURITY_PROTOCOL` SASL_SSL or SSL"
    ]


# --- unknown names


def test_an_unknown_name_with_our_prefix_is_refused_with_a_suggestion() -> None:
    assert problems_of(GOOD | {"IMPORTER_LIMITS": "5"}) == [
        "`IMPORTER_LIMITS` is not a setting (did you mean `IMPORTER_LIMIT`?)"
    ]
    assert problems_of(GOOD | {"KAFKA_TYPO": "3"}) == ["`KAFKA_TYPO` is not a setting"]


@pytest.mark.parametrize(
    "name", ["PATH", "AWS_PROFILE", "API_GATEWAY", "PROXY_MODE", "SCANNER_LIMIT", "kafka_typo"]
)
def test_a_name_of_somebody_else_is_ignored(name: str) -> None:
    assert load(GOOD | {name: "x"}).own.limit == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KAFKA_SERVICE_HOST", "10.0.0.7"),
        ("KAFKA_SERVICE_PORT", "9092"),
        ("KAFKA_SERVICE_PORT_CLIENTS", "9092"),
        ("KAFKA_PORT", "tcp://10.0.0.7:9092"),
        ("KAFKA_PORT_9092_TCP", "tcp://10.0.0.7:9092"),
        ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.7"),
        ("KAFKA_PORT_53_UDP_PROTO", "udp"),
        ("PENSTOCK_SCANNER_SERVICE_HOST", "10.0.0.7"),
        ("NAS_PORT", "tcp://10.0.0.7:445"),
    ],
)
def test_the_variables_that_kubernetes_makes_of_services_are_ignored(name: str, value: str) -> None:
    assert load(GOOD | {name: value}).nas is None


def test_a_service_called_nas_does_not_change_the_port() -> None:
    nas = load(GOOD | NAS | {"NAS_PORT": "tcp://10.0.0.7:1445"}).nas

    assert nas is not None
    assert nas.port == 445


def test_a_mistyped_port_does_not_pass_for_a_kubernetes_variable() -> None:
    assert problems_of(GOOD | {"PENSTOCK_HTPP_PORT": "8080"}) == [
        "`PENSTOCK_HTPP_PORT` is not a setting (did you mean `PENSTOCK_HTTP_PORT`?)"
    ]


# --- optional parts


def test_an_optional_part_is_absent_when_none_of_its_names_is_given() -> None:
    assert load(GOOD).nas is None
    assert load(GOOD | {"NAS_USERNAME": ""}).nas is None


def test_half_an_optional_part_is_a_problem() -> None:
    assert "`NAS_PASSWORD` is missing" in problems_of(GOOD | {"NAS_USERNAME": "u"})


# --- sources


def test_a_secret_file_beats_dotenv_and_the_environment_beats_both(
    working_folder: Path, secrets: Path
) -> None:
    (working_folder / ".env").write_text(
        "IMPORTER_API_TOKEN=from-dotenv\nIMPORTER_LIMIT=1\nKAFKA_BATCH_MAX_RECORDS=1\n"
    )
    secret_file(secrets, "IMPORTER_LIMIT", "2")
    secret_file(secrets, "KAFKA_BATCH_MAX_RECORDS", "2")

    settings = load(
        without("IMPORTER_API_TOKEN")
        | {"PENSTOCK_SECRETS_DIR": str(secrets), "KAFKA_BATCH_MAX_RECORDS": "3"}
    )

    assert settings.own.token.get_secret_value() == "from-dotenv"
    assert settings.own.limit == 2
    assert settings.kafka.batch_max_records == 3


def test_an_empty_variable_hides_nothing(working_folder: Path) -> None:
    (working_folder / ".env").write_text("IMPORTER_LIMIT=7\n")

    assert load(GOOD | {"IMPORTER_LIMIT": ""}).own.limit == 7


def test_dotenv_values_are_taken_as_they_are_written(working_folder: Path) -> None:
    (working_folder / ".env").write_text(
        "# comment\nexport IMPORTER_API_TOKEN='pa${HOME}ss word'\n"
    )

    settings = load(without("IMPORTER_API_TOKEN"))

    assert settings.own.token.get_secret_value() == "pa${HOME}ss word"


def test_a_dotenv_that_is_no_text_is_a_problem_with_a_name(working_folder: Path) -> None:
    (working_folder / ".env").write_bytes(b"IMPORTER_API_TOKEN=\xff\xfe\n")

    assert problems_of(GOOD) == ["`.env` cannot be read as UTF-8 text"]


def test_a_typo_in_dotenv_is_found(working_folder: Path) -> None:
    (working_folder / ".env").write_text("KAFKA_BOOTSTRAP_SERVES=x\n")

    assert problems_of(GOOD) == [
        "`KAFKA_BOOTSTRAP_SERVES` is not a setting (did you mean `KAFKA_BOOTSTRAP_SERVERS`?)"
    ]


def test_secret_files_mounted_by_kubernetes_are_read_through_their_links(secrets: Path) -> None:
    version = secrets / "..2026_01_02_03_04_05.123456789"
    version.mkdir()
    secret_file(version, "IMPORTER_API_TOKEN", "from-the-mount\n")
    (secrets / "..data").symlink_to(version.name)
    (secrets / "IMPORTER_API_TOKEN").symlink_to("..data/IMPORTER_API_TOKEN")

    settings = load(without("IMPORTER_API_TOKEN") | {"PENSTOCK_SECRETS_DIR": str(secrets)})

    assert settings.own.token.get_secret_value() == "from-the-mount"


def test_only_the_line_end_of_a_secret_is_dropped(secrets: Path) -> None:
    secret_file(secrets, "IMPORTER_API_TOKEN", " with spaces \r\n")

    settings = load(without("IMPORTER_API_TOKEN") | {"PENSTOCK_SECRETS_DIR": str(secrets)})

    assert settings.own.token.get_secret_value() == " with spaces "


def test_hidden_foreign_and_binary_files_beside_the_secrets_are_ignored(secrets: Path) -> None:
    secret_file(secrets, ".KAFKA_HIDDEN", CANARY)
    secret_file(secrets, "tls.crt", b"\xff\xfe", mode=0o644)
    (secrets / "KAFKA_FOLDER").mkdir()

    assert load(GOOD | {"PENSTOCK_SECRETS_DIR": str(secrets)}).own.limit == 10


def test_a_mistyped_secret_file_is_found_and_never_opened(secrets: Path) -> None:
    secret_file(secrets, "IMPORTER_API_TOKENS", b"\xff\xfe")

    assert problems_of(GOOD | {"PENSTOCK_SECRETS_DIR": str(secrets)}) == [
        "`IMPORTER_API_TOKENS` is not a setting (did you mean `IMPORTER_API_TOKEN`?)"
    ]


@pytest.mark.parametrize("mode", [0o444, 0o644, 0o604])
def test_a_secret_file_that_everybody_may_read_is_refused(secrets: Path, mode: int) -> None:
    secret_file(secrets, "IMPORTER_API_TOKEN", CANARY, mode=mode)

    problems = problems_of(GOOD | {"PENSTOCK_SECRETS_DIR": str(secrets)})

    assert problems == [
        "`IMPORTER_API_TOKEN`: everybody may read its file; set the mode to 0440 or 0400"
    ]


def test_a_secret_that_is_no_text_is_a_problem_with_a_name(secrets: Path) -> None:
    secret_file(secrets, "IMPORTER_API_TOKEN", b"\xff\xfe")

    assert problems_of(without("IMPORTER_API_TOKEN") | {"PENSTOCK_SECRETS_DIR": str(secrets)}) == [
        "`IMPORTER_API_TOKEN` is missing",
        "`IMPORTER_API_TOKEN`: its file cannot be read as UTF-8 text",
    ]


def test_a_secrets_folder_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert problems_of(GOOD | {"PENSTOCK_SECRETS_DIR": str(tmp_path / "missing")}) == [
        "`PENSTOCK_SECRETS_DIR` is not a folder"
    ]


# --- secrets of the settings


@pytest.mark.covers("S1-28")
def test_every_secret_and_the_servers_address_are_known_for_redaction() -> None:
    class Everything(Importer):
        blobs: BlobSettings

    settings = load_settings(
        Everything, environment=GOOD | NAS | {"AWS_SECRET_ACCESS_KEY": "aws-key"}
    )

    assert set(secret_values(settings)) == {
        f"postgresql://user:{CANARY}@db/hub",
        CANARY,
        "aws-key",
        "10.1.2.3",
    }


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1"])
def test_the_address_of_this_machine_is_no_secret(address: str) -> None:
    assert address not in set(secret_values(load(GOOD | NAS | {"NAS_SERVER_IP": address})))
