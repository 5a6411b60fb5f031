"""Files that appear whole, and folders that one command at a time writes to."""

import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from ppt.base.files import (
    SCRATCH,
    appearing,
    appearing_folder,
    owner,
    sweep,
    synced,
    write_atomically,
    write_synced,
)
from ppt.base.flags import Command, flag, parse, to_json
from ppt.base.output_folder import CONFIG, LOCK, Kind, locked, require_same
from ppt.errors import ConfigError, OutputError, PPTError, did_you_mean, first_line

ROOT = Path(__file__).parents[1]
HOLD = """
import sys
from pathlib import Path
from ppt.base.output_folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder):
    """A process that works in `folder` until it is told to end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.first = process.stdout.readline()
    return process


@pytest.mark.parametrize(("folder", "file"), [(0o755, 0o644), (0o770, 0o660), (0o700, 0o600)])
def test_what_libraries_write_may_be_read_by_who_may_read_the_folder(tmp_path, folder, file):
    """safetensors writes files that nobody but their owner may read."""
    with appearing_folder(tmp_path / "adapter") as scratch:
        scratch.mkdir()
        scratch.chmod(folder)
        save_file({"a": torch.zeros(1)}, scratch / "model.safetensors")
    assert (tmp_path / "adapter/model.safetensors").stat().st_mode & 0o777 == file


def test_a_second_process_gets_one_line_at_once(tmp_path):
    folder = tmp_path / "runs" / "new"
    first = holder(folder)
    assert first.first == "held\n"
    with pytest.raises(OutputError) as error, locked(folder):
        pass
    assert str(error.value) == (
        f"another process is writing to {folder}: wait for it, or give another --output_dir."
    )
    (folder / "file").touch()
    first.communicate("")
    with locked(folder):
        assert (folder / LOCK).exists()
    assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.promise("lock")
def test_a_killed_process_does_not_block_and_its_scratch_goes(tmp_path):
    first = holder(tmp_path)
    (tmp_path / f"{SCRATCH}{first.pid}-0").write_bytes(b"half")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / f"{SCRATCH}{first.pid}-1").mkdir()
    (tmp_path / "part" / ".mine").touch()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert (tmp_path / LOCK).exists()
    with locked(tmp_path):
        left = sorted(path.name for path in tmp_path.rglob("*"))
    assert left == [".mine", LOCK, "part"]


def test_what_a_run_in_an_inner_folder_writes_now_stays(tmp_path):
    first = holder(tmp_path / "runs" / "one")
    (half := tmp_path / "runs" / "one" / f"{SCRATCH}{first.pid}-0").touch()
    with locked(tmp_path / "runs"):
        assert half.exists()
    first.communicate("")


def test_a_refusal_leaves_nothing_and_what_was_there_stays(tmp_path):
    new, empty = tmp_path / "runs" / "new", tmp_path / "empty"
    empty.mkdir()
    for folder in (new, empty):
        with pytest.raises(FileExistsError), locked(folder):
            folder.mkdir()
    assert list(tmp_path.rglob("*")) == [empty]
    with locked(None), locked(None):
        assert list(tmp_path.rglob("*")) == [empty]


def _add_one(folder, times):
    done = 0
    while done < times:
        try:
            with locked(folder):
                path = folder / "count"
                path.write_text(str(int(path.read_text()) + 1))
                done += 1
        except OutputError:
            continue


@pytest.mark.promise("lock")
def test_a_lock_that_is_taken_away_again_still_lets_one_in_at_a_time(tmp_path):
    (tmp_path / "count").write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add_one, args=(tmp_path, 40)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert (tmp_path / "count").read_text() == "120"


@dataclass(frozen=True, kw_only=True)
class Toy(Command):
    GROUPS: ClassVar[tuple[str, ...]] = ("all",)
    REST: ClassVar[str] = "others"

    place: str = flag("a folder", group="all", option="")
    n: int = flag("how many", group="all", default=1, option="-n")
    names: tuple[str, ...] = flag("names", group="all", default=("x",), metavar="NAME")
    loud: bool = flag("say more", group="all", default=False)
    limit: float | None = flag("at most", group="all", default=None, unset="none")
    others: tuple[str, ...] = flag("of another program", group="all", default=())

    @classmethod
    def check_rest(cls, rest, known):
        super().check_rest([one for one in rest if not one.startswith("--beam")], known)


def read(*argv):
    return parse(Toy, argv, prog="toy", description="")


def test_flags_have_places_lists_switches_short_names_and_a_rest(capsys):
    assert read("here") == Toy(place="here")
    given = read("--loud", "here", "-n", "3", "--names", "a", "b", "--names=c", "--beam_x=1")
    assert given == Toy(place="here", n=3, names=("a", "b", "c"), loud=True, others=("--beam_x=1",))
    assert read("here", "--loud", "false", "-n5") == Toy(place="here", n=5)
    with pytest.raises(SystemExit):
        read("--help")
    shown = capsys.readouterr().out
    assert shown.startswith("usage: toy PLACE [--flag=value ...]")
    assert "-n N " in shown
    assert "--names NAME [NAME ...]" in shown
    assert "others" not in shown


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "place is missing: give a folder."),
        (["--laud", "x"], "unknown argument --laud. Did you mean --loud? --help shows all flags."),
        (["x", "y"], "unknown argument y. --help shows all flags."),
        (["x", "-n", "y"], "-n: got 'y', expected a whole number."),
        (["x", "--limit", "inf"], "--limit: got inf, expected a finite number."),
        (["x", "--names"], ("argument --names: expected at least one argument; --help shows all"
         " flags.")),
    ],
)  # fmt: skip
def test_bad_flags_are_one_line(argv, message):
    with pytest.raises(ConfigError) as error:
        read(*argv)
    assert str(error.value) == message


KIND = Kind("a toy", "end.json", ("parts", "table.md"), r"step-\d+")
OURS = ("end.json", "parts/one", "table.md", "step-7/state", CONFIG)
OTHERS = ("notes.txt", "step-x/a", "model/config.json")


def furnish(folder, *names, config=None):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    if config:
        (folder / CONFIG).write_text(to_json(config))


def test_a_folder_is_new_ours_or_others(tmp_path):
    toy = Toy(place="x")
    assert KIND.previous(tmp_path / "new", Toy, overwrite=False) is None
    furnish(tmp_path, ".hidden")
    assert KIND.previous(tmp_path, Toy, overwrite=False) is None
    furnish(tmp_path, "notes.txt")
    with pytest.raises(OutputError, match=r"no config.json of a toy \(it has notes.txt\): give"):
        KIND.previous(tmp_path, Toy, overwrite=False)
    assert KIND.previous(tmp_path, Toy, overwrite=True) is None
    furnish(tmp_path, "table.md")
    with pytest.raises(OutputError, match=r"\(it has table.md\): give another --output_dir\.$"):
        KIND.previous(tmp_path, Toy, overwrite=True)
    furnish(tmp_path, config=toy)
    assert KIND.previous(tmp_path, Toy, overwrite=False) == toy
    (tmp_path / CONFIG).write_text('{"model_type": "llama"}')
    with pytest.raises(OutputError, match=r"cannot read .*config.json: unknown key model_type"):
        KIND.previous(tmp_path, Toy, overwrite=True)


def test_only_what_is_ours_by_name_goes_and_the_proof_last(tmp_path, monkeypatch):
    furnish(tmp_path, *OURS, *OTHERS)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").touch()
    (tmp_path / "step-8").symlink_to(tmp_path / "theirs")
    names = [path.name for path in KIND.ours(tmp_path)]
    assert (names[0], names[-1]) == ("end.json", CONFIG)
    KIND.clear(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*OTHERS, "theirs/file"}
    furnish(tmp_path, *OURS)
    monkeypatch.setattr(Path, "unlink", lambda *_: _refuse())
    with pytest.raises(OutputError, match="cannot clear"):
        KIND.clear(tmp_path)


def _refuse():
    raise PermissionError(13, "Permission denied")


def test_flags_that_differ_are_told_with_both_values():
    one = Toy(place="x")
    require_same("the toy has", one, one, "to go on")
    with pytest.raises(ConfigError) as error:
        require_same("the toy has", one, Toy(place="x", n=2), "to go on")
    assert str(error.value) == (
        "the toy has --n 1, got 2: give the same to go on, another --output_dir, or"
        " --overwrite_output_dir to begin anew."
    )


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt(), KeyError()])
def test_after_an_error_the_old_is_there_and_no_scratch(tmp_path, error):
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    for name in ("file", "folder"):
        with pytest.raises(type(error)), appearing(tmp_path / name) as scratch:
            fail_with(error, scratch, scratch.mkdir if name == "folder" else scratch.touch)
    assert (tmp_path / "file").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def fail_with(error, scratch, make):
    assert scratch.name.startswith(f"{SCRATCH}{owner(os.getpid())}-")
    make()
    raise error


def test_files_and_folders_replace_what_was_there(tmp_path):
    write_atomically(tmp_path / "a" / "file", b"1")
    write_atomically(tmp_path / "a" / "file", b"2")
    assert (tmp_path / "a" / "file").read_bytes() == b"2"
    for content in (b"x", b"y"):
        with appearing(tmp_path / "folder") as scratch:
            scratch.mkdir()
            write_synced(scratch / content.decode(), content)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["y"]
    with synced(tmp_path / "lines") as file:
        file.write(b"whole")
    assert (tmp_path / "lines").read_bytes() == b"whole"
    (tmp_path / "a" / f"{SCRATCH}1-x").touch()
    sweep(tmp_path / "a")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]
    with pytest.raises(OutputError, match=r"cannot write .*file/below: .*write to another folder"):
        write_atomically(tmp_path / "a" / "file" / "below", b"")


def test_the_nearest_name_is_the_first_of_equally_near_ones():
    assert did_you_mean("sentimet", ["unified", "sentiment"]) == " Did you mean 'sentiment'?"
    assert did_you_mean("ab", ["ac", "aa"]) == ""
    assert did_you_mean("abc", ["abd", "abx"], str) == " Did you mean abd?"
    assert did_you_mean("x", []) == ""


@given(st.text(), st.integers(1, 40))
def test_a_first_line_is_one_short_line(text, limit):
    line = first_line(PPTError(text), limit)
    assert "\n" not in line
    assert 0 < len(line) <= limit + 1
    if text.strip():
        assert text.strip().startswith(line.removesuffix("…").rstrip()[:limit])
    else:
        assert line in {"PPTError"[:limit] + "…", "PPTError"}
