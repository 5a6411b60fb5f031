"""Commands in children of a test's process: killed like any other, with nothing to import."""

import importlib
import multiprocessing
import os
import signal
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout

FORK = multiprocessing.get_context("fork")


def forked(main, argv, log=os.devnull, env=()):
    """A child that runs the command, and says what it says to `log`."""

    def run():
        os.environ.update(env)
        with open(log, "w", buffering=1) as out, redirect_stdout(out), redirect_stderr(out):
            sys.exit(main(list(map(str, argv))))

    child = FORK.Process(target=run)
    child.start()
    return child


def killed_at(step, call, main, argv):
    """Run a command in a child that kills itself at that call of `module:name`."""
    module, _, name = step.partition(":")
    *owners, leaf = name.split(".")
    owner = importlib.import_module(module)
    for one in owners:
        owner = getattr(owner, one)
    child = os.fork()
    if not child:
        try:
            real, calls = getattr(owner, leaf), [0]

            def deadly(*args, **kwargs):
                calls[0] += 1
                if calls[0] == call:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            setattr(owner, leaf, deadly)
            main(argv)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"{step} is not called {call} times"
    assert os.WTERMSIG(status) == signal.SIGKILL
