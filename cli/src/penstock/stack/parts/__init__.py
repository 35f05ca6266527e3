"""The servers a stack can start, by name."""

from collections.abc import Mapping

from penstock.stack.model import PartName
from penstock.stack.parts.kafka import Kafka
from penstock.stack.parts.part import Part
from penstock.stack.parts.postgres import Postgres
from penstock.stack.parts.s3 import S3
from penstock.stack.parts.smb import Smb

PARTS: Mapping[PartName, Part] = {
    PartName.KAFKA: Kafka(),
    PartName.POSTGRES: Postgres(),
    PartName.S3: S3(),
    PartName.SMB: Smb(),
}
