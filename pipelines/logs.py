"""What Beam says while our commands run."""

import logging


def quiet() -> None:
    """Keep Beam's log off the terminal: to be called before Beam is imported.

    It warns at import of parts that nobody asked for, and tells every failure several times
    with tracebacks; we tell it once.
    """
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    logging.getLogger().setLevel(logging.ERROR)
