"""Worker processes of a real build: killed, told of, gone; and nobody else can reach them."""

import os
import signal
import subprocess
import time

import psutil
import pytest

from pipelines.crew import Crew
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


def children(process):
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


def workers_of(launcher, wanted=2):
    """Its worker processes, once as many are there."""
    ends = time.monotonic() + PROMPT
    while time.monotonic() < ends and launcher.poll() is None:
        found = [
            worker for nest in psutil.Process(launcher.pid).children() for worker in children(nest)
        ]
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


@pytest.mark.promise("kill")
def test_workers_end_with_the_process_that_made_them(tmp_path, flags):
    launcher = launched(*flags, "--output", tmp_path / "c")
    workers = workers_of(launcher)
    works(tmp_path / "c")
    (nest,) = psutil.Process(launcher.pid).children()
    nest.kill()
    _, said = launcher.communicate(timeout=PROMPT)
    assert launcher.returncode == 2
    assert said.startswith("error: worker ")
    assert "was killed by SIGKILL" in said
    assert not psutil.wait_procs(workers, timeout=10)[1]


def test_the_first_worker_that_dies_is_the_one_that_is_told():
    crew = Crew(2, None)
    while not crew.members[0].pid:
        time.sleep(0.02)
    os.kill(crew.members[0].pid, signal.SIGTERM)
    assert crew.members[0].ended.wait(PROMPT)
    told = crew.lose(crew.members[0])
    assert told == (
        f"worker 1 of 2 (process {crew.members[0].pid}) was killed by SIGTERM: "
        "run the same command again to go on."
    )
    assert crew.members[1].ended.wait(PROMPT)
    assert crew.members[1].code == -signal.SIGKILL
    assert crew.lose(crew.members[1]) == told
    crew.end()
    assert issubclass(WorkerError, RuntimeError)


def test_workers_without_work_end_by_themselves():
    crew = Crew(3, None)
    for member in crew.members:
        member.pipe.close()
    assert all(member.ended.wait(PROMPT) for member in crew.members)
    assert [member.code for member in crew.members] == [0, 0, 0]


def test_a_crew_ends_before_it_is_born():
    crew = Crew(2, None)
    crew.end()
    assert [member.code for member in crew.members] == [-signal.SIGKILL] * 2
