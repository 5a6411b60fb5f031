"""What Beam says while our commands run."""

import logging


def quiet() -> None:
    """Keep Beam's log off the terminal: to be called before Beam is imported.

    It warns at import of parts that nobody asked for, and tells every failure several times
    with tracebacks; we tell it once.
    """
    for name in ("apache_beam", None):  # its S3 client writes to the root's
        logging.getLogger(name).setLevel(logging.CRITICAL)


def show_logs() -> None:
    """Bring Beam's log back, and the lines of JSON of `pipelines.metrics`."""
    logging.basicConfig()
    logging.getLogger().setLevel(logging.ERROR)
    for name in ("apache_beam", "ppt"):
        logging.getLogger(name).setLevel(logging.INFO)
