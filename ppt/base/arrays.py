"""Kinds of NumPy arrays that all wings pass around."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]
Words = NDArray[np.uint64]
"""Random 64-bit words (`ppt.base.streams`)."""
