"""What bronze tells about a version, and what a handler tells the delivery policy."""

from chassis.errors import TransientError
from contracts.layers import BronzeOperation, BronzeStored
from ingestor.domain.versions import NewVersion, WriteOutcome, Written


def stored(version: NewVersion, written: Written) -> BronzeStored:
    """Say what became of a version; whoever announced it waits for the answer."""
    appended = written.outcome is WriteOutcome.APPENDED
    return BronzeStored(
        operation=version.operation if appended else BronzeOperation.UNCHANGED,
        entity_type=version.entity_type,
        entity_id=written.entity_id or version.external_id,
        source_system=version.source_system,
        external_id=version.external_id,
        version=written.version,
        content_hash=version.content_hash,
        blob_key=version.blob_key,
    )


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error to go on with: a bug, if there is one, before an outage."""
    _, other = errors.split(TransientError)
    return (other or errors).exceptions[0]
