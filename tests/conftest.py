"""Settings of all tests."""

import os

from hypothesis import settings

# A slow machine is no failing property, and nothing here may look for a hub.
settings.register_profile("ours", deadline=None)
settings.load_profile("ours")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Tests run side by side: threads of one would take the cores of another, which waits for its own.
os.environ.setdefault("OMP_NUM_THREADS", "1")
