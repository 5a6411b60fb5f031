"""Kinds of NumPy arrays that all wings pass around."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]
Bits = NDArray[np.uint64]
"""64 random bits each (`ppt.base.streams`)."""
