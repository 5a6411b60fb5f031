"""Beam's portable servers for tests, each in a process of its own that ends with the tests.

``python -m tests.servers service`` is Beam's job service, ``pool`` its pool of workers; both
print their port. The pool can be made to lack packages, and both to do what a runner may: run
bundles twice, even at once, throw away what came of them, and have them fail half-way.
"""

import argparse
import os
import subprocess
import sys
import threading
import zlib
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from pathlib import Path

ROOT = Path(__file__).parents[1]
ABSENT = "torch,transformers,datasets,tqdm,safetensors,jinja2,matplotlib,duckdb"
"""What only training, drawing and tests need: workers must do without."""


class Blocker(MetaPathFinder):
    """Makes packages unimportable, as if they were not installed."""

    def __init__(self, names):
        self._names = set(names.split(","))

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def twice_and_again():
    """Beam's bundles run twice, every other one at once, and again and again where they fail.

    What all but one come to is thrown away, as of a zombie or a backup worker.
    """
    from apache_beam.runners.portability.fn_api_runner.fn_runner import BundleManager

    once = BundleManager.process_bundle
    done = []

    def tried(manager, *args, dry_run=False, tries=40):
        try:
            return once(manager, *args, dry_run=dry_run)
        except RuntimeError:
            if tries == 1:
                raise
            return tried(manager, *args, dry_run=dry_run, tries=tries - 1)

    def process_bundle(self, *args, dry_run=False):
        other = BundleManager(self.bundle_context_manager, self._progress_frequency,
                              cache_token_generator=self._cache_token_generator)  # fmt: skip
        twin = threading.Thread(target=tried, args=(other, *args), kwargs={"dry_run": True})
        done.append(twin)
        twin.start()
        if len(done) % 2:
            twin.join()
        result = tried(self, *args, dry_run=dry_run)
        twin.join()
        print("twice", len(done), flush=True)
        return result

    BundleManager.process_bundle = process_bundle


def failing_at_first():
    """Reading breaks off after a document, and writing after a file, the first time round."""
    from pipelines import stages
    from pipelines.sinks import Output

    failed = set()

    def once(place, share):
        if place not in failed and zlib.crc32(place.encode()) % share == 0:
            failed.add(place)
            print("failed", place, flush=True)
            raise RuntimeError(f"a fault for tests at {place}")

    whole_read, whole_put = stages.read, Output.put

    def read(part, options):
        for record in whole_read(part, options):
            yield record
            once(Path(part.name).name, 4)  # not the folder: tests fail alike in each checkout

    def put(output, name, data):
        whole_put(output, name, data)
        once(name, 3)

    stages.read, Output.put = read, put


def service(args):
    from apache_beam.runners.portability.local_job_service import LocalJobServicer

    if args.faults:
        twice_and_again()
    servicer = LocalJobServicer(None)
    return servicer.start_grpc_server(0), servicer


def pool(args):
    from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

    import pipelines

    if args.faults:
        failing_at_first()
    print("code", pipelines.__path__[0], flush=True)
    address, server = BeamFnExternalWorkerPoolServicer.start()
    return address.rpartition(":")[2], server


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("service", "pool"))
    parser.add_argument("--without", default="")
    parser.add_argument("--faults", action="store_true")
    args = parser.parse_args()
    if args.without:
        sys.meta_path.insert(0, Blocker(args.without))
    port, _kept = {"service": service, "pool": pool}[args.what](args)
    print("port", port, flush=True)
    sys.stdin.read()  # the tests that started it are gone
    os._exit(0)


@contextmanager
def serving(*args, log, code=ROOT):
    """A server in a process of its own, with the packages of `code`: where it listens."""
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.servers", *args], stdin=subprocess.PIPE, stdout=out,
            stderr=subprocess.STDOUT, cwd=ROOT.parent,
            env={**os.environ, "PYTHONPATH": f"{code}{os.pathsep}{ROOT}"},
        )  # fmt: skip
    try:
        yield f"localhost:{_port(server, log)}"
    finally:
        server.kill()
        server.wait()
        server.stdin.close()


def _port(server, log):
    for _ in range(600):
        for line in log.read_text().splitlines():
            if line.startswith("port "):
                return line.split()[1]
        try:
            server.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(f"the server did not come up: {log.read_text()}")


if __name__ == "__main__":
    main()
