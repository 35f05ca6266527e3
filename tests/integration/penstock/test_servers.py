"""Every server of the stack is reached by the clients that the services use."""

import io
from typing import Any

import asyncpg
import botocore.session
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from botocore.exceptions import ClientError
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store
from smb.SMBConnection import SMBConnection

from tests.support.addresses import KafkaAddress, PostgresAddress, S3Address, SmbAddress


async def test_kafka_carries_a_message_to_a_consumer_group(
    kafka: KafkaAddress, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}greeted"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    created = await admin.create_topics([NewTopic(topic, 2, 1)])
    await admin.close()
    assert [error for _, error, _ in created.topic_errors] == [0]

    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, enable_idempotence=True)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=topic,
        auto_offset_reset="earliest",
    )
    async with producer, consumer:
        await producer.send_and_wait(topic, b"hello", key=b"k")
        message = await consumer.getone()
    assert (message.key, message.value) == (b"k", b"hello")


async def test_kafka_does_not_create_a_mistyped_topic(
    kafka: KafkaAddress, topic_prefix: str
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    described = await admin.describe_topics([f"{topic_prefix}mistyped"])
    listed = await admin.list_topics()
    await admin.close()
    assert [topic["error_code"] for topic in described] == [3]
    assert f"{topic_prefix}mistyped" not in listed


async def test_each_test_has_a_migrated_database_of_its_own(
    database_url: str, postgres: PostgresAddress
) -> None:
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("select owner from meta.migrations where owner = 'chassis'")
    encoding = await connection.fetchval("show server_encoding")
    await connection.close()
    assert len(rows) > 0
    assert encoding == "UTF8"
    assert database_url != postgres.url


async def test_postgres_refuses_a_wrong_password(postgres: PostgresAddress) -> None:
    user, _, rest = postgres.url.rpartition("@")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"{user}wrong@{rest}")


def test_s3_takes_conditional_puts_from_botocore(s3: S3Address, blob_prefix: str) -> None:
    client: Any = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=s3.endpoint_url,
        aws_access_key_id=s3.access_key_id,
        aws_secret_access_key=s3.secret_access_key,
        region_name=s3.region,
    )
    key = f"{blob_prefix}a"
    client.put_object(Bucket=s3.bucket, Key=key, Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=s3.bucket, Key=key, Body=b"second", IfNoneMatch="*")
    assert client.get_object(Bucket=s3.bucket, Key=key)["Body"].read() == b"first"
    client.close()


def test_s3_takes_conditional_puts_from_obstore(s3: S3Address, blob_prefix: str) -> None:
    store = S3Store(
        s3.bucket,
        endpoint=s3.endpoint_url,
        access_key_id=s3.access_key_id,
        secret_access_key=s3.secret_access_key,
        region=s3.region,
        client_options={"allow_http": True},
    )
    store.put(f"{blob_prefix}a", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        store.put(f"{blob_prefix}a", b"second", mode="create")
    assert store.get(f"{blob_prefix}a").bytes().to_bytes() == b"first"


def test_smb_keeps_what_is_written_to_the_share(smb: SmbAddress, unique: str) -> None:
    connection = SMBConnection(
        smb.username,
        smb.password,
        smb.client_name,
        smb.server_name,
        use_ntlm_v2=True,
        is_direct_tcp=True,
    )
    assert connection.connect(smb.host, smb.port, timeout=10)
    connection.storeFile(smb.share, f"{unique}.xml", io.BytesIO(b"<a/>"))
    listed = {entry.filename: entry.file_size for entry in connection.listPath(smb.share, "/")}
    connection.deleteFiles(smb.share, f"{unique}.xml")
    connection.close()
    assert listed[f"{unique}.xml"] == 4


def test_smb_refuses_a_wrong_password(smb: SmbAddress) -> None:
    connection = SMBConnection(
        smb.username,
        f"{smb.password}x",
        smb.client_name,
        smb.server_name,
        use_ntlm_v2=True,
        is_direct_tcp=True,
    )
    assert connection.connect(smb.host, smb.port, timeout=10) is False
    connection.close()
