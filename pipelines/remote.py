"""Builds on other machines: what their runners are told, checked before anything is spent.

Workers there see no disk of this machine, and have our code only if we give it to them: as a
wheel that is staged, or in a container image (`Dockerfile`). Beam checks some of its options,
others by asking a network that may not be there for minutes; what can be told from the words
alone is told here, in one line.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.internal import cloudpickle_pickler
from apache_beam.options.pipeline_options import PipelineOptions, TestOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.portable_runner import PortableRunner

from pipelines.labelling import find_labeller, members_of
from pipelines.shipping import wheel
from pipelines.stores import is_local
from ppt.base.extras import need
from ppt.errors import ConfigError

WHEEL, NONE = "wheel", "none"
"""Values of ``--package``; any other is a container image."""

_NO_IMAGE = (None, WHEEL, NONE)

_MODULE = "google.cloud.dataflow"
_BUCKET = re.compile(r"gs://[a-z0-9][-_.a-z0-9]+[a-z0-9]/.*")
_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][-a-z0-9]{4,}[a-z0-9]")
_SHAPES = {
    "project": (_PROJECT, "a project's id, such as my-project"),
    "region": (re.compile(r"[a-z]+-[a-z]+\d+"), "a region, such as europe-west1"),
    "temp_location": (_BUCKET, "a folder of a bucket, such as gs://my-bucket/tmp"),
    "staging_location": (_BUCKET, "a folder of a bucket, such as gs://my-bucket/staging"),
    "template_location": (_BUCKET, "a file of a bucket, such as gs://my-bucket/template"),
    "worker_zone": (re.compile(r"[a-z]+-[a-z]+\d+-[a-z]"), "a zone, such as europe-west1-b"),
    "machine_type": (re.compile(r"[a-z][-a-z0-9]+"), "a type, such as n2-standard-4"),
    "service_account_email": (
        re.compile(r"[^@\s]+@[^@\s]+\.[a-z]+"), "an address, such as me@p.iam.gserviceaccount.com",
    ),
    "environment_type": (re.compile("DOCKER"), "none, as its workers run in containers"),
}  # fmt: skip
"""What Dataflow's options must look like."""

_NEEDED = "project", "region", "temp_location"
"""Of these; the launcher of a Flex Template gives the region."""

_IMAGE = re.compile(r"[a-z0-9][\w.-]*[/:][\w./:@-]+")
_HINT = re.compile(r"type:[\w.-]+(;[\w:.-]+)*")
_IMAGES = "sdk_container_image", "environment_config"
_JARS = "flink_job_server_jar", "spark_job_server_jar"

_SECRETS = ("s3_access_key_id", "s3_secret_access_key", "s3_session_token",
            "azure_connection_string")  # fmt: skip
_SHOWN = (
    "a job's options are seen by all who see the job; give the workers a role or an environment"
)
_NOT_OURS = {
    "save_main_session": "workers have our code as a package, and need no session",
    "setup_file": "give --package wheel, which needs none",
    "streaming": "a build is a batch job, and ends",
}
_ALWAYS = "--no_save_main_session", "--experiments=disable_logging_submission_environment"
"""Beam would send a pickle of the command's module, and a list of packages with their paths."""

_WRONG = {"dask": "Beam's gives wrong results without a word, as tagged outputs get every element"}

_MASTERS = {"flink": "flink_master", "spark": "spark_master_url"}
"""Runner → the option whose default means a cluster within this process."""

_DOCKER = "DOCKER"
_CONTAINERS = ("dataflow", "portable", *_MASTERS)


def kind(runner: str) -> str:
    """A runner's name as Beam takes it, whole or short: ``DataflowRunner`` is ``dataflow``."""
    return runner.rpartition(".")[2].lower().removesuffix("runner")


@dataclass(frozen=True)
class Remote:
    """A runner that is not ours, with the flags for it.

    `package` says how its workers get our code: `WHEEL`, `NONE`, an image; None: a wheel where
    they run in containers. `accelerator` is Beam's hint for the step that labels.
    """

    runner: str
    flags: Sequence[str]
    labeller: str
    package: str | None = None
    accelerator: str | None = None

    @cached_property
    def given(self) -> dict[str, Any]:
        """Beam's options by name, as the flags set them."""
        options: dict[str, Any] = PipelineOptions([*self.flags]).get_all_options()
        return options

    def check(self, paths: Iterable[tuple[str, str]], splitter: str) -> None:
        """Raise ConfigError for what cannot work. `paths` are flags with what they were given."""
        refused = {**_NOT_OURS, **dict.fromkeys(_SECRETS, _SHOWN)}
        for name in filter(self.given.get, refused):
            raise ConfigError(f"--{name}: not for --runner {self.runner}: {refused[name]}.")
        if why := _WRONG.get(kind(self.runner)):
            raise ConfigError(f"--runner {self.runner}: {why}; use --workers N, Flink or Spark.")
        if kind(self.runner) == "dataflow":
            _check_dataflow(self.given)
        else:
            self._check_job_server()
        self._check_package()
        if self.accelerator and not find_labeller(self.labeller).libraries:
            raise ConfigError(f"--accelerator: --labeller {self.labeller} uses none; leave it out.")
        if self.accelerator and not _HINT.fullmatch(self.accelerator):
            raise ConfigError(
                f"--accelerator: got {self.accelerator!r}, expected a hint of Beam's, such as "
                "type:nvidia-l4;count:1;install-nvidia-driver."
            )
        if self._in_containers:
            models = [("--labeller", name) for name in members_of(self.labeller)]
            self._refuse_this_disk(paths, [*models, ("--splitter", splitter)])

    def _check_job_server(self) -> None:
        if kind(self.runner) == "portable" and not self.given["job_endpoint"]:
            raise ConfigError(f"--job_endpoint is missing: {self.runner} needs HOST:PORT of one.")
        for name in filter(self.given.get, _JARS):
            if "://" not in self.given[name] and not Path(self.given[name]).is_file():
                raise ConfigError(f"--{name}: got {self.given[name]!r}, expected a file or a URL.")

    def _check_package(self) -> None:
        if self.package in (None, NONE):
            return
        if self.given["environment_type"] not in (None, _DOCKER):
            raise ConfigError(
                f"--package: got {self.package!r}, but workers of --environment_type "
                f"{self.given['environment_type']} are started with all they have; leave one out."
            )
        if self.package == WHEEL:
            return
        if not _IMAGE.fullmatch(self.package):
            raise ConfigError(
                f"--package: got {self.package!r}, expected {WHEEL}, {NONE}, or an image by its "
                "registry or tag, such as registry.example/ppt:1."
            )
        for name in filter(self.given.get, _IMAGES):
            raise ConfigError(f"--{name}: --package {self.package} is an image; leave one out.")

    def _refuse_this_disk(
        self, paths: Iterable[tuple[str, str]], models: Iterable[tuple[str, str]]
    ) -> None:
        into = "into a store (gs://…, s3://…)"
        lost = [(flag, path, into) for flag, path in paths if is_local(path)]
        if self.package in _NO_IMAGE:
            into = "at the same path of an image, and give that as --package IMAGE"
            for flag, name in models:
                _, _, path = name.partition(":")
                if path and Path(path).expanduser().exists():
                    lost.append((flag, path, into))
        for flag, path, into in lost:
            raise ConfigError(
                f"{flag}: got {path!r} of this machine's disk, which the workers of "
                f"{self.runner} do not see: put it {into}."
            )

    @contextmanager
    def options(self) -> Iterator[PipelineOptions]:
        """Beam's options. A wheel that they name lies there while the block runs."""
        with tempfile.TemporaryDirectory(prefix="ppt-wheel-") as folder, _relative_paths():
            more = [f"--runner={self.runner}", *_ALWAYS]
            image = self.given["sdk_container_image"] or self.given["environment_config"]
            package = self.package or (WHEEL if self._in_containers and not image else NONE)
            if package == WHEEL:
                more.append(f"--extra_package={wheel(Path(folder), self.labeller)}")
            elif package != NONE and kind(self.runner) == "dataflow":
                more.append(f"--sdk_container_image={package}")
            elif package != NONE:
                more += [f"--environment_type={_DOCKER}", f"--environment_config={package}"]
            yield PipelineOptions([*more, *self.flags])

    @property
    def _in_containers(self) -> bool:
        """Whether workers run in containers; others are processes that were started with all."""
        name = kind(self.runner)
        if name not in _CONTAINERS:
            return False
        asked = str(self.given["environment_type"] or "")
        within = re.match(r"\[?(local|auto)", str(self.given.get(_MASTERS.get(name, "")) or ""))
        return asked == _DOCKER or self.package not in (None, NONE) or not (asked or within)


@contextmanager
def _relative_paths() -> Iterator[None]:
    """Pickled functions say where they stand below a root of packages, not of this disk.

    Beam has the hook, and no option for it.
    """
    config = cloudpickle_pickler.DEFAULT_CONFIG
    theirs = config.filepath_interceptor
    config.filepath_interceptor = cloudpickle_pickler.cloudpickle.get_relative_path
    try:
        yield
    finally:
        config.filepath_interceptor = theirs


def _check_dataflow(given: dict[str, Any]) -> None:
    need(_MODULE, "--runner DataflowRunner")
    for name, (shape, words) in _SHAPES.items():
        value = given[name]
        template = name == "region" and given["template_location"]
        if value is None and name in _NEEDED and not template:
            raise ConfigError(f"--{name} is missing: DataflowRunner needs {words}.")
        if value is not None and not shape.fullmatch(value):
            raise ConfigError(f"--{name}: got {value!r}, expected {words}.")


def waits(options: PipelineOptions) -> bool:
    """Whether Beam comes back when the job has ended, and not when it was handed over."""
    given = options.get_all_options()
    return not (given["no_wait_until_finish"] or given["template_location"])


def workers_of(options: PipelineOptions) -> int | None:
    """How many workers the options ask for, None where they leave it to the runner."""
    given = options.get_all_options()
    asked = (given.get(name) for name in ("max_num_workers", "num_workers", "parallelism"))
    return max((count for count in asked if count and count > 0), default=None)


@contextmanager
def unsent(options: PipelineOptions) -> Iterator[beam.Pipeline]:
    """A pipeline to draw that will not be sent; Beam then asks no store about its options."""
    dry = options.view_as(TestOptions)
    dry.dry_run = True
    try:
        pipeline = beam.Pipeline(options=options)
        with suppress(OSError):
            Path(pipeline.local_tempdir).rmdir()
        yield pipeline
    finally:
        dry.dry_run = False


def submission(pipeline: beam.Pipeline, options: PipelineOptions) -> beam_runner_api_pb2.Pipeline:
    """The job as the runner would be handed it, made without asking anyone."""
    runner = pipeline.runner
    if kind(options.get_all_options()["runner"]) == "dataflow":
        pipeline.run()  # Beam's own --dry_run: it makes the job and sends nothing
        return runner.proto_pipeline
    if isinstance(runner, PortableRunner):
        environment = runner.default_environment(options)
        return pipeline.to_runner_api(default_environment=environment)
    return pipeline.to_runner_api()
