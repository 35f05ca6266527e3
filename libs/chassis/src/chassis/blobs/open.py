"""Opens the object store that the settings name."""

from chassis.blobs.aioboto3 import Aioboto3Blobs
from chassis.blobs.guarded import GuardedBlobs
from chassis.blobs.obstore import ObstoreBlobs
from chassis.blobs.port import BlobStore
from chassis.settings import BlobSettings


def open_blobs(settings: BlobSettings) -> BlobStore:
    """Return the configured store; it connects at its first call."""
    adapter = Aioboto3Blobs if settings.client == "aioboto3" else ObstoreBlobs
    return GuardedBlobs(adapter(settings))
