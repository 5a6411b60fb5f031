"""Every named step of a build killed with -9 once: the rerun ends as if nothing had happened."""

import shutil
import tempfile

import pytest

from pipelines.build_corpus import main
from ppt.base.files import SCRATCH
from tests.builds import build, digests, good_documents, write_jsonl
from tests.forks import killed_at

STEPS = [
    *(("pipelines.sinks:Output._put_plan", call) for call in (1, 2)),
    ("pipelines.sinks:Output._make_folders", 1),
    ("pipelines.job:punkt_texts", 1),
    ("pipelines.stores:write_synced", 5),
    ("pipelines.job:build", 1),
    ("ppt.corpus.exclusion:Excluded.to_bytes", 1),
    ("pipelines.job:_pipeline", 1),
    ("pipelines.stages:read", 1),
    ("pipelines.relations:cluster", 1),
    ("pipelines.relations:repeated", 1),
    ("pipelines.stages:decode", 2),
    ("pipelines.stages:pool_shard", 1),
    ("pipelines.stages:build_shard", 2),
    *(("pipelines.sinks:Output.put_shard", call) for call in (1, 3)),
    *(("pipelines.sinks:Output.put", call) for call in (3, 8, 18, 22)),
    *(("pipelines.stores:write_synced", call) for call in (4, 17)),
    *(("ppt.base.files:os.replace", call) for call in (1, 11, 17)),
    ("pipelines.stages:write_manifests", 1),
    ("pipelines.finishing:build_manifests", 1),
    *(("pipelines.finishing:dataset_card", call) for call in (1, 2)),
    ("pipelines.sinks:Output.sweep", 1),
    ("pipelines.job:read_manifest", 1),
    *(("pipelines.finishing:histograms", call) for call in (1, 2)),
    ("pipelines.sinks:Output.finish", 1),
    ("pipelines.sinks:Path.rename", 1),
    ("pipelines.job:show", 1),
]
OVERWRITING = [
    *(("pipelines.sinks:Output._put_plan", call) for call in (1, 2)),
    *(("pipelines.sinks:Output.delete", call) for call in (1, 2)),
    ("pipelines.sinks:Output._make_folders", 1),
    ("pipelines.sinks:Output.put_shard", 2),
    ("pipelines.finishing:build_manifests", 1),
    ("pipelines.finishing:histograms", 2),
    ("pipelines.sinks:Output.finish", 1),
]


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    source = write_jsonl(tmp_path_factory.mktemp("in") / "in.jsonl", good_documents(8))
    return ["--input", str(source), "--num_shards", "2", "--splitter", "punkt:train",
            "--formats", "sentence_pair,unified"]  # fmt: skip


@pytest.fixture(scope="module")
def reference(flags, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "c"
    build(*flags, "--output", folder)
    return digests(folder)


@pytest.fixture(scope="module")
def other(flags, tmp_path_factory):
    """Corpora of other flags."""
    folder = tmp_path_factory.mktemp("other") / "c"
    build("--input", flags[1], "--num_shards", "3", "--seed", "5", *flags[-2:], "--output", folder)
    return folder


def goes_on(argv, folder, reference, more=()):
    """Run the same command again; what is there then is whole and nothing else is."""
    finished = not (folder / ".building").exists() and (folder / "unified/histograms.png").exists()
    build(*argv, *more, expect=2 if finished and not more else 0)
    assert digests(folder) == reference
    assert len(list(folder.glob("*/histograms.png"))) == 2
    assert not [path for path in folder.rglob("*") if SCRATCH in path.name]
    assert not (folder / ".building").exists()


@pytest.mark.promise("kill")
@pytest.mark.parametrize(("step", "call"), STEPS)
def test_a_build_killed_at_any_step_ends_as_if_it_had_not_been(
    tmp_path, monkeypatch, flags, reference, step, call
):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    folder = tmp_path / "c"
    argv = [*flags, "--output", str(folder), "--workers", "1"]
    killed_at(step, call, main, argv)
    assert not list((tmp_path / "tmp").glob("beam-pipeline-temp*"))
    goes_on(argv, folder, reference)
    assert not list((tmp_path / "tmp").glob("beam-pipeline-temp*"))


@pytest.mark.promise("clear")
@pytest.mark.parametrize(
    ("step", "call", "again"),
    [(*step, ("--overwrite",) if n % 2 else ()) for n, step in enumerate(OVERWRITING)],
)
def test_a_build_killed_while_it_replaces_another_is_that_or_the_new_one(
    tmp_path, flags, reference, other, step, call, again
):
    folder = shutil.copytree(other, tmp_path / "c")
    old = digests(folder)
    argv = [*flags, "--output", str(folder), "--workers", "1"]
    killed_at(step, call, main, [*argv, "--overwrite"])
    if not again and digests(folder).items() >= old.items():  # nothing was replaced yet
        build(*argv, expect=2)
    else:
        goes_on(argv, folder, reference, again)
