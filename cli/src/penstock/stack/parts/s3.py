"""S3Proxy over a folder: an S3 server with real signatures, multipart and conditional puts."""

import asyncio
import contextlib
import time

from penstock.stack.errors import PartTimeoutError
from penstock.stack.java import find_java
from penstock.stack.model import PartName
from penstock.stack.parts.part import Launch, PartContext, until_connected
from penstock.stack.ports import LOOPBACK
from penstock.stack.processes import Program

BUCKET = "penstock"
ACCESS_KEY_ID = "penstock"
REGION = "us-east-1"

_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

_PROPERTIES = """\
s3proxy.endpoint=http://{host}:{port}
s3proxy.authorization=aws-v4
s3proxy.identity={access_key_id}
s3proxy.credential={secret_access_key}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir={blobs}
"""

_LOGBACK = """\
<configuration>
  <appender name="stderr" class="ch.qos.logback.core.ConsoleAppender">
    <target>System.err</target>
    <encoder><pattern>%d %p %logger{0} %m%n</pattern></encoder>
  </appender>
  <root level="warn"><appender-ref ref="stderr"/></root>
</configuration>
"""


class S3:
    """The object store of the stack."""

    async def prepare(self, context: PartContext) -> Launch:
        """Fetch the jars, write the configuration, make the bucket."""
        java = await find_java()
        class_path = await context.jars.class_path("s3proxy", context.state.log("s3"))
        folder = context.folder(PartName.S3)
        # With this back end a bucket is a folder.
        (folder / "blobs" / BUCKET).mkdir(parents=True, exist_ok=True)
        port = context.port("s3")
        secret = context.state.secret("s3")
        properties = folder / "s3proxy.conf"
        properties.touch(mode=0o600)
        properties.write_text(
            _PROPERTIES.format(
                host=LOOPBACK,
                port=port,
                access_key_id=ACCESS_KEY_ID,
                secret_access_key=secret,
                blobs=folder / "blobs",
            )
        )
        logback = folder / "logback.xml"
        logback.write_text(_LOGBACK)
        options = (*_JVM, f"-Dlogback.configurationFile={logback}", "-cp", class_path)
        return Launch(
            program=Program(
                arguments=(java, *options, "org.gaul.s3proxy.Main", "--properties", properties)
            ),
            address=f"http://{LOOPBACK}:{port}",
            env={
                "S3_ENDPOINT_URL": f"http://{LOOPBACK}:{port}",
                "S3_BUCKET": BUCKET,
                "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
                "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_REGION": REGION,
            },
        )

    async def until_ready(self, launch: Launch) -> None:
        """Wait until an HTTP request is answered."""
        port = int(launch.address.rpartition(":")[2])
        await until_connected(port)
        deadline = time.monotonic() + 60
        while not await _answers_http(port):
            if time.monotonic() > deadline:
                raise PartTimeoutError("The S3 server listens but answers nothing after 60 s.")
            await asyncio.sleep(0.05)


async def _answers_http(port: int) -> bool:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                # Unsigned, so refused: but refused by S3Proxy.
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return (await reader.readline()).startswith(b"HTTP/1.1")
            finally:
                writer.close()
    return False
