"""How long PyTorch's threads spin while they wait for each other.

GNU's OpenMP lets them spin for 300,000 rounds. Beside another busy process that takes the
core from the very thread that is waited for: with 2 threads on 2 cores, a training step
took more than 14 s in place of 1.2. With 20,000 rounds it took 3.9 s, and 1.2 s on an
idle machine. Sleeping at once (``OMP_WAIT_POLICY=passive``) is worse when idle: 1.4 to 2.4 s.
"""

import os

SPINS = "GOMP_SPINCOUNT"


def spin_less() -> None:
    """Set a limit in the environment, if there is none; before torch is imported."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault(SPINS, "20000")
