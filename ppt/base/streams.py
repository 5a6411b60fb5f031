"""The hashing that all randomness comes from.

Nothing here depends on arrival order, worker, time or Python's salted `hash`: equal
seeds and names give equal draws on every machine. Scalars are hashed with blake2b;
arrays of 64 bits each are mixed with the finaliser of SplitMix64 (Steele, Lea and Flood
2014, "Fast splittable pseudorandom number generators").
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from ppt.base.arrays import Bits

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def seed_bits(seed: int, *parts: bytes | str) -> int:
    """64 bits from a seed and any parts; the root of every random choice."""
    seed = int(seed)  # NumPy's have no to_bytes
    digest = hashlib.blake2b(seed.to_bytes(16, "little", signed=True), digest_size=8)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(4, "little") + data)
    return int.from_bytes(digest.digest(), "little")


def mix(bits: Bits) -> Bits:
    """SplitMix64's finaliser, element by element; a bijection on 64 bits."""
    bits = bits ^ (bits >> np.uint64(30))
    bits *= _MIX_1
    bits ^= bits >> np.uint64(27)
    bits *= _MIX_2
    bits ^= bits >> np.uint64(31)
    return bits


def stream(bits: Bits, counter: int | Bits) -> Bits:
    """Draw number `counter` of the random stream that each element starts; 64 bits."""
    steps = np.atleast_1d(np.asarray(counter, dtype=np.uint64)) + np.uint64(1)
    return mix(bits + steps * _GOLDEN)


def below(bits: Bits, bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Map random bits to integers in [0, bound); 0 where the bound is below 1.

    The top 32 bits are scaled (Lemire 2019, without rejection): for bounds under
    2^20, as here, each value's share is off by less than one part in 4,000.
    """
    high = (bits >> np.uint64(32)).astype(np.uint64)
    limit = np.maximum(bounds, 1).astype(np.uint64)
    return ((high * limit) >> np.uint64(32)).astype(np.int64)


def uniform(bits: Bits) -> NDArray[np.float64]:
    """Map random bits to floats in [0, 1) with 53 random bits."""
    return (bits >> np.uint64(11)).astype(np.float64) / 2.0**53
