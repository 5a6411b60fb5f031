"""Runners that are not ours, through Beam's job service: the same bytes, whatever they do."""

import json
import os
import shutil
import socket
import subprocess
import time
import zipfile
from contextlib import contextmanager

import pytest

from pipelines.shipping import wheel
from tests.builds import DOCUMENTS, build, build_apart, digests, ledger_holds, write_jsonl
from tests.servers import ABSENT, serving

JAR = "BEAM_FLINK_JAR"


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Our documents, some of them twice, and two that are none."""
    twice = [json.loads(line) for line in (DOCUMENTS / "opinions.jsonl").open()][:3]
    near = [{"id": "near", "text": twice[0]["text"] + " And so it ends, as all things do."}]
    records = [*twice, *near, {"id": "no text"}, {"id": "short", "text": "One."}]
    more = write_jsonl(tmp_path_factory.mktemp("in") / "more.jsonl", records)
    return ("--input", DOCUMENTS / "*.jsonl", more, "--num_shards", 3,
            "--validation_fraction", 0.2)  # fmt: skip


@pytest.fixture(scope="module")
def reference(flags, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference") / "c"
    build(*flags, "--output", folder)
    documents = ledger_holds(folder)
    assert documents["rejected"] == {"missing_field": 1, "too_few_sentences": 1}
    assert documents["duplicates"] == 3
    return digests(folder)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving("service", log=tmp_path_factory.mktemp("service") / "log") as address:
        yield address


def portably(flags, service, *more, runner="PortableRunner"):
    return build_apart(*flags, "--runner", runner, "--job_endpoint", service, *more)


def test_workers_in_the_launcher_give_the_same_bytes(tmp_path, flags, reference, service):
    """As `FlinkRunner` has it by itself where no cluster is named."""
    portably(flags, service, "--output", tmp_path / "c", runner="FlinkRunner")
    assert digests(tmp_path / "c") == reference


def test_workers_that_have_only_the_wheel_and_no_torch_give_the_same_bytes(
    tmp_path, flags, reference, service
):
    with zipfile.ZipFile(wheel(tmp_path, "vader")) as archive:
        archive.extractall(tmp_path / "code")
    log = tmp_path / "log"
    with serving("pool", "--without", ABSENT, log=log, code=tmp_path / "code") as pool:
        external = ("--environment_type", "EXTERNAL", "--environment_config", pool)
        portably(flags, service, "--output", tmp_path / "c", *external)
    assert digests(tmp_path / "c") == reference
    assert f"code {tmp_path}/code/pipelines" in log.read_text()


@pytest.mark.promise("retry")
def test_bundles_that_run_twice_and_fail_at_first_change_nothing(tmp_path, flags, reference, cases):
    logs = tmp_path / "service.log", tmp_path / "pool.log"
    with (
        serving("service", "--faults", log=logs[0]) as service,
        serving("pool", "--faults", log=logs[1]) as pool,
    ):
        external = ("--environment_type", "EXTERNAL", "--environment_config", pool)
        portably(flags, service, "--output", tmp_path / "c", *external)
    twice = logs[0].read_text().count("\ntwice ")
    failed = logs[1].read_text().count("\nfailed ")
    assert twice > 8
    assert failed > 10
    cases(twice + failed)
    assert digests(tmp_path / "c") == reference
    ledger_holds(tmp_path / "c")


# ---- Flink, where there is one


@pytest.mark.flink
def test_flink_gives_the_same_bytes(tmp_path, flags, reference):
    """Beam's job server for Flink, with a Flink within it, and workers in another process."""
    jar = os.environ.get(JAR)
    if not jar:
        pytest.skip(f"no Flink: set {JAR} to Beam's job-server jar (docs/dataflow.md)")
    log = tmp_path / "log"
    with serving("pool", log=log) as pool, flink(jar, tmp_path / "flink.log") as service:
        external = ("--environment_type", "EXTERNAL", "--environment_config", pool,
                    "--output", tmp_path / "c")  # fmt: skip
        try:
            portably(flags, service, *external, *("--parallelism", 2, "--verbose"))
        except (AssertionError, subprocess.TimeoutExpired) as error:
            raise AssertionError(
                f"{error}\n---- the job server's log ends:\n{tail(tmp_path / 'flink.log')}"
                f"\n---- the workers' log ends:\n{tail(log)}"
            ) from error
    assert digests(tmp_path / "c") == reference


def test_what_is_wrong_with_a_job_server_is_told(tmp_path):
    if not shutil.which("java"):
        pytest.skip("no Java here")
    log = tmp_path / "log"
    told = pytest.raises(AssertionError, match=r"ended with code 1(.|\n)*none\.jar")
    with told, flink(tmp_path / "none.jar", log):
        pass


@contextmanager
def flink(jar, log):
    """Beam's job server on this machine's own address; where it listens."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = ["java", "-jar", str(jar), "--flink-master", "[local]", "--job-host", "localhost",
               "--job-port", str(port), "--artifact-port", "0", "--expansion-port", "0",
               "--artifacts-dir", str(log.with_suffix(".artifacts"))]  # fmt: skip
    with log.open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        ends = time.monotonic() + 120
        while not listens(port):
            code = server.poll()
            assert code is None, f"{command} ended with code {code}:\n{tail(log)}"
            assert time.monotonic() < ends, f"{command} listens nowhere:\n{tail(log)}"
            time.sleep(0.2)
        yield f"localhost:{port}"
    finally:
        server.kill()
        server.wait()


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("localhost", port)) == 0


def tail(path, lines=40):
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
