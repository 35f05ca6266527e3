import base64
import random
import uuid

import pytest

from penstock.stack.parts import kafka


def test_a_cluster_id_never_looks_like_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = random.Random(7)
    monkeypatch.setattr("uuid.uuid4", lambda: uuid.UUID(int=numbers.getrandbits(128)))
    ids = [kafka.new_cluster_id() for _ in range(1000)]
    assert not [cluster_id for cluster_id in ids if cluster_id.startswith("-")]
    assert {len(base64.urlsafe_b64decode(cluster_id + "==")) for cluster_id in ids} == {16}
