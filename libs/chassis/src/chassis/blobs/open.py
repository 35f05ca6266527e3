"""Opens the object store that the settings name."""

from chassis.blobs.guarded import GuardedBlobs
from chassis.blobs.obstore import ObstoreBlobs
from chassis.blobs.port import BlobStore
from chassis.settings import BlobSettings


def open_blobs(settings: BlobSettings) -> BlobStore:
    """Return the configured store; it connects at its first call."""
    return GuardedBlobs(_adapter(settings))


def _adapter(settings: BlobSettings) -> BlobStore:
    if settings.client == "aioboto3":
        # Half a second of processor time that every start would pay for the client few choose.
        from chassis.blobs.aioboto3 import Aioboto3Blobs  # noqa: PLC0415

        return Aioboto3Blobs(settings)
    return ObstoreBlobs(settings)
