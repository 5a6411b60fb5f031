"""Helpers that build corpora in tests."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from pipelines.build_corpus import main
from ppt.base.output_folder import LOCK
from tests import quick  # noqa: F401 - before any build of this process

ROOT = Path(__file__).parents[1]
DOCUMENTS = ROOT / "data/documents"


def build(*args, expect=0):
    """Run the command in this process, in memory unless told otherwise."""
    argv = list(map(str, args))
    if "--workers" not in argv and "--runner" not in argv:
        argv += ["--workers", "1"]
    assert main(argv) == expect
    return argv


def command(*args):
    return [sys.executable, "-m", "pipelines.build_corpus", *map(str, args)]


def build_apart(*args, expect=0, **kwargs):
    """Run the command in a process of its own; returns what it said."""
    done = subprocess.run(
        command(*args), cwd=ROOT, capture_output=True, text=True, timeout=120, **kwargs
    )
    assert done.returncode == expect, done.stderr + done.stdout
    return done


def digests(folder):
    """sha256 of every file of the corpora but the drawings and a killed build's lock, by path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.suffix != ".png" and path.name != LOCK
    }


def manifest(folder, name="sentence_pair"):
    return json.loads((Path(folder) / name / "manifest.json").read_text())


def rejects(folder):
    """All lines of rejects/, in order of their place."""
    lines = [
        json.loads(line)
        for path in sorted((Path(folder) / "rejects").glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    return sorted(lines, key=lambda line: (line["source"], line["offset"]))


def ledger_holds(folder):
    """read = kept + rejected + duplicates, and one line kept aside for each not kept."""
    documents = manifest(folder)["documents"]
    rejected = sum(documents["rejected"].values())
    assert documents["read"] == documents["kept"] + rejected + documents["duplicates"]
    told = sum(line.get("records", 1) for line in rejects(folder))
    assert told == rejected + documents["duplicates"]
    return documents


def good_documents(n=6, start=0):
    """Small documents that can all be kept."""
    topics = ["river", "garden", "engine", "market", "violin", "desert", "winter", "harbour"]
    verbs = ["sleeps", "wakes", "turns", "waits", "changes", "returns", "listens"]
    return [
        {
            "id": f"good-{d}",
            "text": " ".join(
                f"Number {'abcdefgh'[d % 8]} {topics[(d + s) % 8]} {verb} while "
                f"the {topics[d % 8]} of {'qrstuvwx'[s]} grows "
                f"{'xyzwvuts'[s]}{'lmnopqrs'[d % 8]} {topics[s]}."
                for s, verb in enumerate(verbs)
            ),
        }
        for d in range(start, start + n)
    ]


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path
