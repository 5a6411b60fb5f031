"""Worker processes of a real build: killed, told of, gone; and nobody else can reach them."""

import signal
import subprocess
import time

import psutil
import pytest

from ppt.errors import WorkerError
from tests.builds import ROOT, build, command, digests, good_documents, write_jsonl

PROMPT = 30
"""Seconds in which a launcher must have ended on a busy machine; it hung for ever once."""


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    records = [
        {"id": f"{n}", "text": " ".join(f"{word}{n} {word}" for word in one["text"].split())}
        for n, one in enumerate(good_documents(8) * 120)
    ]
    source = write_jsonl(tmp_path_factory.mktemp("in") / "in.jsonl", records)
    return ("--input", source, "--num_shards", 4)


@pytest.fixture(scope="module")
def reference(flags, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference") / "c"
    build(*flags, "--output", folder)
    return digests(folder)


def launched(*args):
    return subprocess.Popen(
        command(*args, "--workers", 2),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def workers_of(launcher, wanted=2):
    """Its worker processes, once as many are there."""
    ends = time.monotonic() + PROMPT
    while time.monotonic() < ends and launcher.poll() is None:
        found = [
            one for one in psutil.Process(launcher.pid).children(recursive=True)
            if "pipelines.workers" in one.cmdline()
        ]  # fmt: skip
        if len(found) == wanted:
            return found
        time.sleep(0.02)
    raise AssertionError("no workers came")


def works(folder):
    """Wait until a worker has counted documents."""
    while not [path for path in folder.glob(".building/progress/*") if path.stat().st_size]:
        time.sleep(0.02)


@pytest.mark.promise("kill")
@pytest.mark.parametrize(
    ("how", "moment"), [(signal.SIGKILL, "at work"), (signal.SIGSEGV, "as it starts")]
)
def test_a_killed_worker_ends_the_build_at_once_and_a_rerun_goes_on(
    tmp_path, flags, reference, how, moment
):
    args = (*flags, "--output", tmp_path / "c")
    launcher = launched(*args)
    workers = workers_of(launcher)
    if moment == "at work":
        works(tmp_path / "c")
    victim = workers[1]
    victim.send_signal(how)
    killed = time.monotonic()
    _, said = launcher.communicate(timeout=PROMPT)
    assert time.monotonic() - killed < PROMPT
    assert launcher.returncode == 2
    assert said.startswith("error: worker ")
    assert f" of 2 (process {victim.pid}) was killed by {how.name}" in said
    assert ("memory" in said) == (how == signal.SIGKILL)
    assert said.count("\n") == 1
    assert not psutil.wait_procs(workers, timeout=10)[1]
    build(*args)
    assert digests(tmp_path / "c") == reference


def test_only_this_machine_reaches_the_ports_of_a_build(tmp_path, flags):
    launcher = launched(*flags, "--output", tmp_path / "c")
    workers = workers_of(launcher)
    works(tmp_path / "c")
    listening = {
        socket.laddr
        for one in (psutil.Process(launcher.pid), *workers)
        for socket in one.net_connections("inet")
        if socket.status == psutil.CONN_LISTEN
    }
    # IPv4 through a socket of IPv6 is shown with a prefix; it is the same address.
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert len(listening) == 4  # Beam's servers of control, data, state and logs
    launcher.kill()
    launcher.communicate()
    assert not psutil.wait_procs(workers, timeout=10)[1]


def test_an_address_that_is_not_known_is_not_bound():
    from apache_beam.runners.portability.fn_api_runner import worker_handlers

    from pipelines.workers import local_runner

    real = worker_handlers.grpc
    with local_runner(2, None):
        with pytest.raises(KeyError):
            worker_handlers.grpc.server(None).add_insecure_port("0.0.0.0:0")
        assert worker_handlers.grpc is not real
    assert worker_handlers.grpc is real


def test_the_first_worker_that_dies_is_the_one_that_is_told():
    from pipelines.workers import _Crew

    crew = _Crew(2, None)
    sleepers = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    crew.processes += sleepers
    sleepers[0].terminate()
    sleepers[0].wait()
    told = crew.lose(sleepers[0])
    assert told == (
        f"worker 1 of 2 (process {sleepers[0].pid}) was killed by SIGTERM: "
        "run the same command again to go on."
    )
    assert sleepers[1].returncode == -signal.SIGKILL
    assert crew.lose(sleepers[1]) == told
    assert issubclass(WorkerError, RuntimeError)
