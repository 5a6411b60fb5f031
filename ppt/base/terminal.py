"""The terminal as we write to it: what users' files and paths hold is text there, no command."""

from rich.console import Console


def plain_console(*, stderr: bool = False) -> Console:
    """A rich console in which ``[/foo]`` and ``:smile:`` in a path are what they are."""
    return Console(stderr=stderr, markup=False, emoji=False)
