"""The checkpoint of a sync, kept beside the data (S5-19)."""

from pydantic import ValidationError as InvalidDocumentError

from chassis.logs import get_logger
from wrds_sync.domain.locks import LockToken
from wrds_sync.domain.progress import SyncProgress
from wrds_sync.ports import Documents


class Checkpoints:
    """Reads and writes `sync_progress/<dataset>.json`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def load(self, dataset: str) -> SyncProgress | None:
        """Return the last checkpoint; an unreadable one counts as none."""
        text = await self._documents.read(_key(dataset))
        if text is None:
            return None
        try:
            return SyncProgress.model_validate_json(text)
        except InvalidDocumentError:
            get_logger().warning("checkpoint_unreadable", dataset=dataset)
            return None

    async def save(self, progress: SyncProgress, token: LockToken) -> None:
        """Write a checkpoint, if this writer still holds the data set.

        Raises:
            LockLostError: another writer has taken over.
        """
        await self._documents.write(
            _key(progress.dataset), progress.model_dump_json(indent=2), token=token
        )


def _key(dataset: str) -> str:
    return f"sync_progress/{dataset}.json"
