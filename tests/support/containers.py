"""The same servers from containers: `PENSTOCK_TEST_SERVERS=docker`, where a Docker engine runs.

Each function starts one container and returns the exports of its server, in the names which the
local stack uses too.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import botocore.session
from docker.errors import DockerException  # type: ignore[import-untyped]
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy, LogMessageWaitStrategy

from penstock.stack import PartName
from penstock.stack.ports import free_port
from tests.support.errors import MissingServerError

_PASSWORD = "penstock-tests"
_KAFKA_CONTROLLER_PORT = 9093
_S3_PORT = 80
_SMB_PORT = 445


def start_container(part: PartName, until: contextlib.ExitStack) -> dict[str, str]:
    """Start the container of `part`, stop it when `until` closes, return its exports."""
    try:
        return _STARTERS[part](until)
    except DockerException as error:
        raise MissingServerError(
            f"PENSTOCK_TEST_SERVERS=docker needs a Docker engine, and it said: {error}; "
            "start Docker, or unset the variable to use local processes."
        ) from error


def _kafka(until: contextlib.ExitStack) -> dict[str, str]:
    # A broker tells clients its address, so its port must be known before it starts.
    port = free_port()
    container = DockerContainer("apache/kafka:4.3.1").with_bind_ports(port, port)
    host = container.get_container_host_ip()
    for name, value in {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://:{_KAFKA_CONTROLLER_PORT}",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{host}:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@localhost:{_KAFKA_CONTROLLER_PORT}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_MESSAGE_MAX_BYTES": "2097152",
    }.items():
        container.with_env(name, value)
    container.waiting_for(LogMessageWaitStrategy("Kafka Server started"))
    until.enter_context(container)
    return {"KAFKA_BOOTSTRAP_SERVERS": f"{host}:{port}"}


def _postgres(until: contextlib.ExitStack) -> dict[str, str]:
    container = PostgresContainer(
        "postgres:16-alpine", username="penstock", password=_PASSWORD, dbname="penstock"
    )
    container.with_command("postgres -c max_connections=200 -c fsync=off")
    until.enter_context(container)
    return {"DATABASE_URL": container.get_connection_url(driver=None)}


def _s3(until: contextlib.ExitStack) -> dict[str, str]:
    container = DockerContainer("andrewgaul/s3proxy:4.1.0").with_exposed_ports(_S3_PORT)
    for name, value in {
        "S3PROXY_AUTHORIZATION": "aws-v4",
        "S3PROXY_IDENTITY": "penstock",
        "S3PROXY_CREDENTIAL": _PASSWORD,
        "JCLOUDS_PROVIDER": "filesystem-nio2",
        "JCLOUDS_FILESYSTEM_BASEDIR": "/data",
    }.items():
        container.with_env(name, value)
    container.waiting_for(HttpWaitStrategy(_S3_PORT, "/").for_status_code(403))
    until.enter_context(container)
    host, port = container.get_container_host_ip(), container.get_exposed_port(_S3_PORT)
    env = {
        "S3_ENDPOINT_URL": f"http://{host}:{port}",
        "S3_BUCKET": "penstock",
        "AWS_ACCESS_KEY_ID": "penstock",
        "AWS_SECRET_ACCESS_KEY": _PASSWORD,
        "AWS_REGION": "us-east-1",
    }
    _make_bucket(env)
    return env


def _make_bucket(env: Mapping[str, str]) -> None:
    client: Any = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=env["S3_ENDPOINT_URL"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region_name=env["AWS_REGION"],
    )
    with contextlib.closing(client):
        client.create_bucket(Bucket=env["S3_BUCKET"])


def _smb(until: contextlib.ExitStack) -> dict[str, str]:
    container = DockerContainer("dperson/samba:latest").with_exposed_ports(_SMB_PORT)
    container.with_command(f"-u 'penstock;{_PASSWORD}' -s 'data;/data;no;no;no;penstock'")
    container.waiting_for(LogMessageWaitStrategy("smbd"))
    until.enter_context(container)
    return {
        "NAS_SERVER_IP": container.get_container_host_ip(),
        "NAS_PORT": str(container.get_exposed_port(_SMB_PORT)),
        "NAS_SERVER_NAME": "PENSTOCK",
        "NAS_SHARE_NAME": "data",
        "NAS_BASE_PATH": "",
        "NAS_USERNAME": "penstock",
        "NAS_PASSWORD": _PASSWORD,
        "CLIENT_MACHINE_NAME": "penstock",
    }


_STARTERS: Mapping[PartName, Callable[[contextlib.ExitStack], dict[str, str]]] = {
    PartName.KAFKA: _kafka,
    PartName.POSTGRES: _postgres,
    PartName.S3: _s3,
    PartName.SMB: _smb,
}
