import pytest

from chassis.blobs.guarded import GuardedBlobs
from chassis.blobs.open import open_blobs
from chassis.settings import BlobSettings


@pytest.mark.parametrize(
    ("environment", "adapter"),
    [({}, "ObstoreBlobs"), ({"S3_CLIENT": "aioboto3"}, "Aioboto3Blobs")],
)
def test_the_settings_choose_the_client(environment: dict[str, str], adapter: str) -> None:
    store = open_blobs(BlobSettings.model_validate(environment))
    assert isinstance(store, GuardedBlobs)
    assert type(store._store).__name__ == adapter
