"""What another runner is sent, made without a network: the graph, where it runs, what goes too."""

import base64
import bz2
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.localfilesystem import LocalFileSystem
from apache_beam.portability.api import beam_runner_api_pb2 as api

from pipelines import dry, job
from pipelines.build_corpus import main
from pipelines.flags import BuildFlags
from pipelines.shipping import requirements, wheel
from pipelines.template import metadata
from ppt.base.extras import is_there
from ppt.base.flags import parse
from tests.builds import ROOT, digests, good_documents, write_jsonl
from tests.servers import ABSENT
from tests.test_labelling import save_classifier

SECRET = "s3cr3t-that-nobody-else-may-see"
HAS_DATAFLOW = is_there("google.cloud.dataflow")
needs_dataflow = pytest.mark.skipif(
    not HAS_DATAFLOW, reason="Dataflow's client is not installed: pip install -e '.[test]'"
)
DATAFLOW = ("--runner", "DataflowRunner", "--project", "my-project", "--region", "europe-west1",
            "--temp_location", "gs://bucket/scratch")  # fmt: skip
FLINK = ("--runner", "FlinkRunner", "--flink_master", "cluster:8081")
RUNNERS = [
    pytest.param(DATAFLOW, id="dataflow", marks=needs_dataflow),
    pytest.param(FLINK, id="flink"),
]
GROUPED = [
    "Inputs/MaybeReshuffle/Reshuffle/ReshufflePerKey/GroupByKey",  # parts of files are dealt out
    "BuildCorpora/Relate/FindClusters/Meet by shingle",
    "BuildCorpora/Relate/FindClusters/Meet by document",
    "BuildCorpora/Relate/FindClusters/Meet all",
    "BuildCorpora/Relate/Meet by key",
    "BuildCorpora/Meet in shards",  # the one that documents go through
    "BuildCorpora/Collect",
    "BuildCorpora/Deal formats",  # baselines and histograms side by side
    "BuildCorpora/Collect formats",
]
DOCUMENTS_PATH = [
    "Read and split", "Place", "Flatten", "Meet in shards", "Pool", "Label", "Build and write",
    "To one place", "Collect", "Sum up", "Deal formats", "One by one", "Describe",
    "Bring together", "Collect formats", "Write manifests",
]  # fmt: skip


class Bucket(LocalFileSystem):
    """A store by name, and a folder in truth: ``gs://`` is `root`."""

    root = ""

    @classmethod
    def scheme(cls):
        return "bucket"  # Beam wants one file system a scheme; the fixture leads ``gs://`` here

    def _local(self, path):
        return path.replace("gs://", self.root + "/")

    def create(self, path, *args, **kwargs):
        return super().create(self._local(path), *args, **kwargs)

    def open(self, path, *args, **kwargs):
        return super().open(self._local(path), *args, **kwargs)

    def exists(self, path):
        return super().exists(self._local(path))

    def _list(self, folder):
        for file in super()._list(self._local(folder)):
            file.path = file.path.replace(self.root + "/", "gs://")
            yield file


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    (tmp_path / "bucket/in").mkdir(parents=True)
    for n in range(3):
        write_jsonl(tmp_path / f"bucket/in/{n}.jsonl", good_documents(8, start=8 * n))
    monkeypatch.setattr(Bucket, "root", str(tmp_path))
    theirs = FileSystems.get_filesystem
    monkeypatch.setattr(FileSystems, "get_filesystem", staticmethod(
        lambda path: Bucket(None) if path.startswith("gs://") else theirs(path)
    ))  # fmt: skip
    yield tmp_path / "bucket"
    assert not Path("gs:").exists(), "a folder of that name was made here"


@pytest.fixture
def sent(bucket, monkeypatch, capsys):
    """What a command would send, and what it said."""

    def ask(*flags):
        held = []
        monkeypatch.setattr(job, "show_plan", lambda *told: (
            held.append(told[-1]), dry.show_plan(*told)
        ))  # fmt: skip
        argv = ["--input", "gs://bucket/in/*.jsonl", "--output", "gs://bucket/corpora",
                "--num_shards", "8", "--dry_run", *flags]  # fmt: skip
        assert main(argv) == 0, capsys.readouterr().err
        return held[0], capsys.readouterr().out

    return ask


def leaves(proto):
    """Name → transform, of those that hold no others."""
    return {
        one.unique_name: one
        for one in proto.components.transforms.values()
        if not one.subtransforms and one.spec.urn
    }


def opened(payload):
    """A pickle as it is once Beam's packing is off."""
    packed = base64.b64decode(payload)
    return bz2.decompress(packed) if packed[:2] == b"BZ" else zlib.decompress(packed)


def pickles(proto):
    """Name of a transform → the pickle of its function."""
    for name, one in leaves(proto).items():
        if one.spec.urn == "beam:transform:pardo:v1":
            yield name, api.ParDoPayload.FromString(one.spec.payload).do_fn.payload


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_graph_is_the_one_that_is_meant(sent, runner):
    proto, _ = sent(*runner)
    found = leaves(proto)
    grouped = [n for n, one in found.items() if one.spec.urn == "beam:transform:group_by_key:v1"]
    assert sorted(grouped) == sorted(GROUPED)
    assert {one.spec.urn for one in found.values()} == {
        f"beam:transform:{kind}:v1" for kind in ("impulse", "pardo", "group_by_key", "flatten")
    }
    # One way from the files to the manifests: only reading gives more than one kind of thing.
    many = [name for name, one in found.items() if len(one.outputs) > 1]
    assert [name.rpartition("/")[0] for name in many] == ["BuildCorpora/Read and split"]
    producer = {made: name for name, one in found.items() for made in one.outputs.values()}
    name, path = "BuildCorpora/Write manifests", []
    while name.startswith("BuildCorpora/"):
        path.append(name.removeprefix("BuildCorpora/").removesuffix("/ParDo(ReadAndSplit)"))
        inputs = found[name].inputs
        name = producer[inputs["None" if "None" in inputs else min(inputs)]]
    assert [one.rpartition("/")[2] for one in reversed(path)] == DOCUMENTS_PATH
    # What stands aside is the clusters alone, for which documents wait.
    aside = {
        producer[made]
        for one in found.values()
        for key, made in one.inputs.items()
        if key.startswith("python_side_input")
    }
    assert aside == {"BuildCorpora/Relate/FindClusters/Cluster"}


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("package", [None, "registry.example/ppt:1"])
def test_workers_get_the_code_and_nothing_of_this_machine(sent, runner, package, monkeypatch):
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, SECRET)
    proto, said = sent(*runner, *(("--package", package) if package else ()))
    (environment,) = [
        one for one in proto.components.environments.values() if one.urn == "beam:env:docker:v1"
    ]
    image = api.DockerPayload.FromString(environment.payload).container_image
    assert (image == package) if package else ("beam_python3" in image)
    staged = sorted(dry.staged(environment))
    own = "pre_trained_prompt_tuning-0.1.0-py3-none-any.whl"
    assert staged == ([] if package else ["extra_packages.txt", own])
    assert f"staged    {', '.join(staged) or '-'}" in said
    assert image in said
    # Where the wheel lies is replaced when it is staged (the test of Dataflow's job below).
    for one in proto.components.environments.values():
        del one.dependencies[:]
    everything = proto.SerializeToString() + b"".join(opened(p) for _, p in pickles(proto))
    assert b"gs://bucket/corpora" in everything
    for place in (ROOT, Path.home(), tempfile.gettempdir(), sys.prefix):
        assert os.fsencode(place) not in everything, place
    assert SECRET.encode() not in everything
    assert b"main_session" not in everything


@needs_dataflow
def test_what_dataflow_is_sent_at_last_names_its_own_places_only(sent, monkeypatch):
    """As far as the request itself: the files, which go to the bucket before, stay here."""
    from apache_beam.runners.dataflow.internal import apiclient

    requests, uploads = [], []

    def made(self, *given):
        make(self, *given)
        requests.append(self)
        client = object.__new__(apiclient.DataflowApplicationClient)
        client._stage_resources(self.proto_pipeline, self.options)

    make = apiclient.Job.__init__
    monkeypatch.setattr(apiclient.Job, "__init__", made)
    monkeypatch.setattr(
        apiclient._LegacyDataflowStager, "stage_job_resources",
        lambda _, files, staging_location: uploads.extend(files),
    )  # fmt: skip
    proto, _ = sent(*DATAFLOW, "--job_name", "build-1", "--labels", "team=a")
    (request,) = requests
    told = json.loads(request.json())
    assert told["name"] == "build-1"
    assert told["type"] == "JOB_TYPE_BATCH"
    assert told["labels"] == {"team": "a"}
    (environment,) = proto.components.environments.values()
    urls = [api.ArtifactUrlPayload.FromString(one.type_payload).url
            for one in environment.dependencies]  # fmt: skip
    assert len(urls) == len(uploads) == 2
    assert all(url.startswith("gs://bucket/scratch/build-1.") for url in urls)
    assert os.fsencode(tempfile.gettempdir()) not in proto.SerializeToString()


LOADED = f"""
import json, sys
from tests.servers import Blocker
sys.meta_path.insert(0, Blocker({ABSENT!r}))
from apache_beam.internal import pickler
pickler.set_library("cloudpickle")
for name, pickle in json.load(sys.stdin).items():
    function = pickler.loads(pickle)[0]
    if "EnvironmentKey" not in name:
        print(name, type(function).__name__)
    if type(function).__name__ in ("ReadAndSplit", "WriteShards"):
        function.setup()
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("runner", RUNNERS[1:])
def test_every_function_is_read_by_a_new_interpreter_that_lacks_torch(sent, runner):
    proto, _ = sent(*runner)
    found = {name: payload.decode() for name, payload in pickles(proto)}
    done = subprocess.run(
        [sys.executable, "-c", LOADED], input=json.dumps(found), cwd=ROOT, text=True,
        capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(found) > 15
    for name in ("ReadAndSplit", "PoolShards", "WriteShards", "/Place", "/Find repeats"):
        assert name in done.stdout


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_gpu_is_asked_for_where_a_model_labels_and_nowhere_else(sent, runner, tmp_path):
    save_classifier(tmp_path / "bucket/model")
    hint = "type:nvidia-l4;count:1;install-nvidia-driver"
    flags = ("--labeller", f"model:{tmp_path}/bucket/model", "--package", "registry.example/ppt:1")
    proto, said = sent(*runner, *flags, "--accelerator", hint)
    with_gpu = {
        name for name, one in leaves(proto).items()
        if proto.components.environments[one.environment_id].resource_hints
    }  # fmt: skip
    assert with_gpu
    assert all(name.startswith("BuildCorpora/Label/") for name in with_gpu)
    assert f"accelerator={hint}" in said


# ---- the wheel


def test_the_wheel_has_the_code_its_data_and_pinned_needs_of_workers(tmp_path):
    first = wheel(tmp_path, "vader").read_bytes()
    path = wheel(tmp_path, "vader")
    assert path.read_bytes() == first  # a runner that has it already is not sent it again
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
         "--target", tmp_path / "there", path], check=True,
    )  # fmt: skip
    for package in ("pipelines", "ppt"):
        own = sorted(p for p in (ROOT / package).rglob("*") if p.is_file() and p.suffix != ".pyc")
        for file in own:
            there = tmp_path / "there" / file.relative_to(ROOT)
            assert there.read_bytes() == file.read_bytes()
    with zipfile.ZipFile(path) as archive:
        (told,) = (n for n in archive.namelist() if n.endswith("METADATA"))
        needs = re.findall(r"^Requires-Dist: (.*)==", archive.read(told).decode(), re.MULTILINE)
    assert {"apache-beam", "numpy", "pyarrow", "vadersentiment", "zstandard"} <= set(needs)
    assert not {"torch", "transformers", "datasets"} & set(needs)
    assert any(one.startswith("torch==") for one in requirements("lm:x"))


# ---- the plan, and what is refused


def test_a_plan_of_this_machine_is_told_and_nothing_is_done(tmp_path, capsys):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(8))
    argv = ["--input", str(source), "--output", str(tmp_path / "c"), "--dry_run", "--workers", "2"]
    assert main([*argv, "--shard_mb", "0.001"]) == 0
    said = capsys.readouterr().out
    size = source.stat().st_size
    assert size == 3688
    assert "input     1 files of 3.69 kB, first in.jsonl\n" in said
    assert "shards    4 train, 1 validation: about 922 bytes each\n" in said
    assert "2 processes of this machine" in said
    assert "dollars" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_what_a_plan_expects_is_by_text_workers_and_price(sent, bucket):
    with (bucket / "in/big.jsonl").open("wb") as file:
        file.truncate(36_000_000_000)
    no_glance = ("--formats", "sentence_pair")  # at its first documents, which would take it all
    _, said = sent(*FLINK, "--parallelism", "10", "--cpu_hour_price", "2", *no_glance)
    assert "work      8.0 h to 21.0 h of one core" in said
    assert "expected  48 min to 2.1 h with 10 workers\n" in said
    assert "cost      16.00 to 42.00 dollars at 2.0 a core and hour\n" in said
    assert "9 shuffles" in said


LOCAL_INPUT = ("--input", "in/*.jsonl")
BAD = [
    (("--runner", "DataflowRunner"), "--project is missing", True),
    (DATAFLOW[:4], "--region is missing", True),
    (DATAFLOW[:6], "--temp_location is missing", True),
    ((*DATAFLOW[:6], "--temp_location", "/tmp/x"), "--temp_location: got '/tmp/x'", True),
    ((*DATAFLOW[:6], "--temp_location", "gs://b/x"), "--temp_location: got 'gs://b/x'", True),
    ((*DATAFLOW, "--staging_location", "x"), "--staging_location: got 'x'", True),
    ((*DATAFLOW, "--project", "My Project"), "--project: got 'My Project'", True),
    ((*DATAFLOW, "--region", "Belgium"), "--region: got 'Belgium'", True),
    ((*DATAFLOW, *LOCAL_INPUT), "--input: got 'in/*.jsonl'", True),
    ((*FLINK, *LOCAL_INPUT), "--input: got 'in/*.jsonl'", False),
    ((*FLINK, "--output", "here"), "--output: got 'here'", False),
    ((*FLINK, "--labeller", f"model:{ROOT}"), "--labeller: got", False),
    ((*FLINK, "--labeller", f"lm:smollm2-135m,model:{ROOT}"), f"--labeller: got '{ROOT}'", False),
    ((*FLINK, "--splitter", f"punkt:{ROOT}"), "--splitter: got", False),
    ((*FLINK, "--save_main_session"), "--save_main_session", False),
    ((*FLINK, "--setup_file", "setup.py"), "--setup_file", False),
    ((*FLINK, "--s3_secret_access_key", "x"), "--s3_secret_access_key", False),
    ((*FLINK, "--accelerator", "type:nvidia-l4"), "--labeller vader uses none", False),
    (("--runner", "DaskRunner"), "wrong results", False),
    ((*DATAFLOW, "--worker_zone", "europe-west1"), "--worker_zone: got 'europe-west1'", True),
    ((*DATAFLOW, "--environment_type", "LOOPBACK"), "--environment_type: got 'LOOPBACK'", True),
    ((*DATAFLOW, "--num_workers", "9", "--max_num_workers", "5"), "num_workers (9) cannot", True),
    (
        (*DATAFLOW, "--job_name", "Bad Name", "--input", "gs://bucket/none"),
        "Invalid job_name (Bad Name)",
        True,
    ),
    ((*DATAFLOW, "--streaming"), "--streaming: not for", True),
    ((*FLINK, "--package", "weel"), "--package: got 'weel'", False),
    ((*FLINK, "--package", "a/b:1", "--environment_config", "c"), "--package a/b:1 is an", False),
    ((*FLINK, "--package", "wheel", "--environment_type", "EXTERNAL"), "leave one out", False),
    ((*FLINK, "--flink_job_server_jar", "none.jar"), "got 'none.jar', expected a file", False),
    ((*FLINK, "--workers", "2"), "--workers: not for --runner FlinkRunner", False),
    ((*FLINK, "--accelerator", "l4", "--labeller", "lm:smollm2-135m"), "got 'l4'", False),
    (("--runner", "PortableRunner"), "--job_endpoint is missing", False),
    (("--package", "wheel"), "--package: not for --runner FnApiRunner", False),
    (("--output", "gs://"), "--output: got 'gs://'", False),
    # What a build would refuse, a plan refuses too.
    ((*FLINK, "--splitter", "punkt:klingon"), "punkt:klingon", False),
    ((*FLINK, "--exclude", "none.jsonl"), "--exclude: got 'none.jsonl'", False),
    ((*FLINK, "--labeller", "model:/none"), "cannot load the classifier '/none'", False),
    ((*FLINK, "--num_shards", "100000"), "expected 99999 at most", False),
]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        pytest.param(flags, message, marks=needs_dataflow if dataflow else ())
        for flags, message, dataflow in BAD
    ],
)
def test_bad_options_are_one_line_at_once_of_a_plan_too(bucket, capsys, flags, message):
    argv = ["--input", "gs://bucket/in/*.jsonl", "--output", "gs://bucket/corpora", *flags]
    assert main(argv) == 2
    refused = capsys.readouterr()
    assert main([*argv, "--dry_run"]) == 2
    assert capsys.readouterr() == refused
    assert not refused.out
    assert refused.err.startswith("error: ")
    assert refused.err.count("\n") == 1
    assert message in refused.err
    assert not (bucket / "corpora").exists()


def test_a_plan_is_refused_where_the_output_stands_in_its_way(tmp_path, capsys):
    source, place = write_jsonl(tmp_path / "in.jsonl", good_documents(8)), tmp_path / "c"
    argv = ["--input", str(source), "--output", str(place), "--workers", "1"]
    assert main(argv) == 0
    before = digests(place)
    assert main([*argv, "--seed", "2", "--overwrite", "--dry_run"]) == 0
    for refused in ([*argv, "--seed", "2"], [*argv[:2], "--output", str(source)]):
        capsys.readouterr()
        assert main(refused) == main([*refused, "--dry_run"]) == 2
        told, again = capsys.readouterr().err.splitlines()
        assert told == again
    assert digests(place) == before


def test_dataflow_without_its_extra_is_told(bucket, capsys, monkeypatch):
    monkeypatch.setattr("ppt.base.extras.is_there", lambda _: False)
    assert main(["--input", "gs://bucket/in/*", "--output", "gs://bucket/c", *DATAFLOW]) == 2
    assert "pip install 'pre-trained-prompt-tuning[gcp]'" in capsys.readouterr().err


# ---- the template


def test_the_template_has_a_parameter_for_each_flag_and_takes_what_it_says():
    told = json.loads((ROOT / "flex/metadata.json").read_text())
    assert told == metadata(), "make it anew: python -m pipelines.template > flex/metadata.json"
    names = [one["name"] for one in told["parameters"]]
    assert {"input", "output", "formats", "package", "accelerator"} <= set(names)
    assert [one["name"] for one in told["parameters"] if not one["isOptional"]] == [
        "input",
        "output",
    ]
    given = {
        "input": "gs://bucket/in/*", "output": "gs://bucket/c", "overwrite": "true",
        "num_shards": "3", "validation_fraction": "0.1", "near_duplicates": "drop",
    }  # fmt: skip
    for one in told["parameters"]:
        for shape in one.get("regexes", ()):
            assert one["name"] not in given or re.match(shape, given[one["name"]])
    argv = [f"--{name}={value}" for name, value in given.items()]
    flags = parse(BuildFlags, [*argv, "--template_location=gs://x/y", "--job_id=1"], prog="",
                  description="")  # fmt: skip
    assert (flags.overwrite, flags.num_shards, flags.near_duplicates) == (True, 3, "drop")
    assert flags.beam == ("--template_location=gs://x/y", "--job_id=1")


@pytest.mark.parametrize(
    "handed_over", ["--no_wait_until_finish", "--template_location=gs://bucket/scratch/job"]
)
def test_a_launcher_that_does_not_wait_leaves_the_end_to_the_graph(
    bucket, capsys, monkeypatch, handed_over
):
    class Result:
        def wait_until_finish(self):
            assert handed_over.startswith("--template"), "it waited"

    sent = []
    monkeypatch.setattr("apache_beam.Pipeline.run", lambda self: (sent.append(self), Result())[1])
    argv = ["--input", "gs://bucket/in/*.jsonl", "--output", "gs://bucket/corpora"]
    assert main([*argv, *FLINK, "--package", "registry.example/ppt:1", handed_over]) == 0
    assert len(sent) == 1
    assert "gs://bucket/corpora is complete with its end" in capsys.readouterr().out
    assert (bucket / "corpora/.building/plan.json").is_file()  # the graph's end clears it up
