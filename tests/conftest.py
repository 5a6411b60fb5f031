"""Settings of all tests."""

import os

from hypothesis import settings

# A slow machine is no failing property, and nothing here may look for a hub.
settings.register_profile("ours", deadline=None)
settings.load_profile("ours")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
