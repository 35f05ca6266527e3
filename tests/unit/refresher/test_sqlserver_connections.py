"""How a SQL Server is addressed."""

import pytest

from chassis.errors import SettingsError
from refresher.adapters.sqlserver_connections import SqlServerAddress, SqlServerPair
from refresher.domain.config import DatabaseConfig


def _address(**more: object) -> SqlServerAddress:
    values: dict[str, object] = {"server": "sql.example", "database": "UATDB", "user": "u", **more}
    return SqlServerAddress(**values)  # type: ignore[arg-type]


def test_a_login_of_the_server_is_written_into_the_address() -> None:
    assert _address(password="p").connection_string() == (
        "Server={sql.example,1433};Database={UATDB};PacketSize={8000};ConnectRetryCount={0};"
        "Encrypt={yes};TrustServerCertificate={yes};UID={u};PWD={p}"
    )


def test_no_value_can_add_a_word_of_its_own() -> None:
    text = _address(password="x};Server={evil").connection_string()
    assert text.endswith("PWD={x}};Server={evil}")


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(_address(password="secret"))


@pytest.mark.covers("S4-12", "C-31")
def test_windows_means_the_ticket_of_kerberos() -> None:
    config = DatabaseConfig.model_validate(
        {"server": "sql.example", "database": "ProductionDB", "auth_type": "windows"}
    )
    address = SqlServerAddress.of(
        config, user="ignored", password="", login_seconds=30, statement_seconds=300
    )
    text = address.connection_string()
    assert text.endswith("Trusted_Connection={yes}")
    assert "UID" not in text


def test_a_named_instance_has_no_port() -> None:
    assert "Server={sql.example\\INST};" in _address(server="sql.example\\INST").connection_string()


def test_a_certificate_is_looked_at_where_that_is_asked_for() -> None:
    text = _address(tls="verify-full").connection_string()
    assert "Encrypt={yes};TrustServerCertificate={no}" in text


def test_an_option_cannot_replace_what_the_configuration_says() -> None:
    with pytest.raises(SettingsError, match="must not contain Encrypt"):
        _address(options={"Encrypt": "no"}).connection_string()


def test_an_option_of_the_driver_is_passed_on() -> None:
    text = _address(options={"ApplicationIntent": "ReadOnly"}).connection_string()
    assert "ApplicationIntent={ReadOnly}" in text


def test_two_files_of_authorities_are_refused() -> None:
    with pytest.raises(SettingsError, match="put both authorities into one file"):
        SqlServerPair(_address(ca_file="a.pem"), _address(ca_file="b.pem"))
