"""AES as a keyed function of numbers, for one value or for thousands at once.

A mask is a permutation made of rounds (docs/decisions/0017), and every round asks a function that
only the key's holder can compute. AES has instructions of its own in today's processors: a block
costs two nanoseconds in an array, so thousands of values are masked in the time that Python takes
for a few.
"""

import hmac
import struct
from typing import TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]
Bytes: TypeAlias = NDArray[np.uint8]

WORD = np.dtype("<u8")
"""Half a block; little-endian on every machine, so that masks agree between them."""

_PAIR = struct.Struct("<QQ")
_FIRST = struct.Struct("<Q").unpack_from


class BlockCipher:
    """One key's function from blocks of 16 bytes to blocks of 16 bytes."""

    def __init__(self, key: bytes, purpose: bytes) -> None:
        """Derive the key of a purpose."""
        derived = hmac.digest(key, purpose, "sha256")
        # One block in, one block out: what is called ECB, and no way to encrypt a message.
        self._update = Cipher(algorithms.AES(derived), modes.ECB()).encryptor().update  # noqa: S305

    def blocks(self, words: Words) -> Words:
        """Return what the function makes of each block, two words at a time."""
        made = self._update(words.view(np.uint8).data)
        return np.frombuffer(made, WORD).reshape(words.shape)

    def word(self, first: int, second: int) -> int:
        """Return the first word of what the function makes of one block."""
        word: int = _FIRST(self._update(_PAIR.pack(first, second)))[0]
        return word

    def constants(self, label: int, count: int) -> Words:
        """Return `count` words that belong to the key; different ones for every label."""
        words = np.empty((-(-count // 2), 2), WORD)
        words[:, 0] = label
        words[:, 1] = np.arange(len(words))
        return self.blocks(words).reshape(-1)[:count]
