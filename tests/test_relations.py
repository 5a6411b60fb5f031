"""Near duplicates, repetition and exclusion in whole builds: what lands where, and what is told."""

import json
import random

import pytest

from pipelines.build_corpus import main
from pipelines.excluding import read_excluded
from ppt.corpus.formats import FORMATS
from ppt.corpus.storage import open_corpus
from tests.builds import (
    build,
    digests,
    good_documents,
    ledger_holds,
    manifest,
    rejects,
    write_jsonl,
)
from tests.checker import Checker, Source
from tests.relatives import families, sentence

FLAGS = ("--num_shards", 3, "--validation_fraction", 0.3, "--formats", "sentence_pair")


@pytest.fixture(scope="module")
def related(tmp_path_factory):
    """Families of documents, by id; one document stands twice."""
    rng = random.Random(5)
    grouped = families(rng, 30)
    records = [
        {"id": f"{family}-{place}", "text": text}
        for family, texts in enumerate(grouped)
        for place, text in enumerate(texts)
    ]
    records.append({"id": "again", "text": records[4]["text"]})
    rng.shuffle(records)
    folder = tmp_path_factory.mktemp("related")
    write_jsonl(folder / "a.jsonl", records[::2])
    write_jsonl(folder / "b.jsonl", records[1::2])
    return folder, {record["id"]: record["text"] for record in records}, grouped


@pytest.fixture(scope="module")
def outputs(related, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    for how in ("group", "drop", "keep"):
        formats = ",".join(FORMATS) if how == "group" else "sentence_pair"
        build("--input", related[0] / "*.jsonl", "--output", folder / how, *FLAGS,
              "--near_duplicates", how, "--formats", formats)  # fmt: skip
    return folder


def splits_of(folder, name="sentence_pair"):
    """Family → the splits that its documents' rows are in."""
    found = {}
    for split in ("train", "validation"):
        for one in open_corpus(folder / name).read(split)["document_id"].to_pylist():
            found.setdefault(one.split("-")[0], set()).add(split)
    return found


def checked(folder, texts, excluded=(), formats=("sentence_pair",)):
    return Checker(folder, Source(texts.items()), excluded).check(formats)


def test_documents_that_hold_each_others_text_are_in_one_split(outputs, related):
    _, texts, grouped = related
    assert checked(outputs / "group", texts, formats=FORMATS).faults == {}
    found = splits_of(outputs / "group")
    assert all(len(splits) == 1 for splits in found.values())
    assert {split for splits in found.values() for split in splits} == {"train", "validation"}
    told = manifest(outputs / "group")["near_duplicates"]
    larger = [family for family in grouped if len(family) > 1]
    assert told["clusters"] == len(larger)
    assert told["documents"] == sum(map(len, larger))
    assert told["largest"] == max(map(len, larger))
    assert told["moved"] > 0
    assert told["over_the_split"] == 0
    assert told["rule"] == {"shingle_words": 8, "contained": 0.8, "common": 32}
    assert ledger_holds(outputs / "group")["rejected"] == {}


def test_strangers_are_split_as_they_were(outputs):
    kept, grouped = splits_of(outputs / "keep"), splits_of(outputs / "group")
    assert manifest(outputs / "keep")["near_duplicates"] == {}
    alone = [name for name in grouped if name != "again" and int(name) % 12 in (0, 3, 6)]
    assert len(alone) > 5
    assert all(kept[name] == grouped[name] for name in alone)


def test_dropping_keeps_the_longest_and_tells_of_the_others(outputs, related):
    _, texts, grouped = related
    assert checked(outputs / "drop", texts).faults == {}
    documents = ledger_holds(outputs / "drop")
    assert documents["kept"] == len(grouped)
    assert documents["rejected"]["near_duplicate"] + documents["duplicates"] == len(texts) - len(
        grouped
    )
    lines = [line for line in rejects(outputs / "drop") if line["reason"] == "near_duplicate"]
    corpus = open_corpus(outputs / "drop/sentence_pair")
    found = [row for split in ("train", "validation") for row in corpus.read(split).to_pylist()]
    rows = {row["id"].split("-")[0]: row["document_id"] for row in found}
    for line in lines:
        kept = line["detail"].removeprefix("of document ").removesuffix(", which is kept")
        family = rows[kept].split("-")[0]
        longest = max(grouped[int(family)], key=lambda text: len(text.split())) if (
            family.isdigit()) else texts["again"]  # fmt: skip
        assert len(texts[rows[kept]].split()) == len(longest.split())
    moved = {
        key
        for split in ("train", "validation")
        for key in (one.split("-")[0] for one in corpus.read(split)["id"].to_pylist())
        if (int(key, 16) / 2**64 < 0.3) != (split == "validation")
    }
    assert manifest(outputs / "drop")["near_duplicates"]["moved"] == len(moved) > 0
    # What the dropped ones shared with the kept is no repetition; in groups it is kept once.
    usable = [manifest(outputs / how)["sentences"]["usable"] for how in ("group", "drop", "keep")]
    assert usable[0] >= usable[1] > usable[2]


def test_a_sentence_of_two_documents_leaves_from_both_wherever_they_are(tmp_path):
    rng = random.Random(8)
    same = [sentence(rng) for _ in range(4)]
    records = good_documents(60)
    for number, record in enumerate(records):
        record["text"] = " ".join(sentence(rng) for _ in range(30)) + " " + same[number % 4]
    source = write_jsonl(tmp_path / "in.jsonl", records)
    for shards in (1, 9):
        build("--input", source, "--output", tmp_path / f"{shards}", "--num_shards", shards,
              "--formats", "sentence_pair")  # fmt: skip
        assert manifest(tmp_path / f"{shards}")["sentences"]["drops"] == {"repeated": 60}


def test_processes_and_kills_change_no_byte(tmp_path, related, outputs, monkeypatch):
    flags = ("--input", related[0] / "*.jsonl", *FLAGS, "--near_duplicates", "drop")
    build(*flags, "--output", tmp_path / "two", "--workers", 2)
    assert digests(tmp_path / "two") == digests(outputs / "drop")
    from pipelines import finishing

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "build_manifests", lambda *_: 1 / 0)
        with pytest.raises(Exception, match="division"):
            build(*flags, "--output", tmp_path / "killed")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "killed").glob("*/*.parquet")}
    build(*flags, "--output", tmp_path / "killed")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "killed").glob("*/*.parquet")} == before
    assert digests(tmp_path / "killed") == digests(outputs / "drop")


def test_a_shard_is_built_anew_when_another_document_repeats_its_sentence(tmp_path, monkeypatch):
    records = good_documents(30)
    source = write_jsonl(tmp_path / "in.jsonl", records)
    flags = ("--output", tmp_path / "c", "--num_shards", 4, "--formats", "sentence_pair")
    from pipelines import finishing

    with monkeypatch.context() as patch:
        patch.setattr(finishing, "build_manifests", lambda *_: 1 / 0)
        with pytest.raises(Exception, match="division"):
            build("--input", source, *flags)
    text = source.read_text()
    source.write_text(text.replace("returns", "RETURNS", 1))  # another document, equal sentences
    build("--input", source, *flags)
    build("--input", source, "--output", tmp_path / "whole", *flags[2:])
    assert digests(tmp_path / "c") == digests(tmp_path / "whole")


def test_what_is_tested_on_is_left_out_counted_and_listed(tmp_path, related, capsys):
    folder, texts, _ = related
    lines = texts["3-0"].split(". ")
    tasks = tmp_path / "tasks/sst2"
    tasks.mkdir(parents=True)
    write_jsonl(tasks / "train.jsonl", [{"sentence": lines[5], "label": 0}])
    write_jsonl(tasks / "validation.jsonl", [{"sentence": f"He said : {lines[0]} !", "label": 1}])
    write_jsonl(tasks / "test.jsonl", [{"sentence": "nothing of that", "label": 0}])
    rows = tmp_path / "rows.txt"
    rows.write_text(
        f"a row\n\n{' '.join(lines[1].split()[:12])}\n{' '.join(lines[2].split()[:7])}\n"
        f"{lines[0]}\n"
    )
    flags = ("--input", folder / "*.jsonl", *FLAGS)
    build(*flags, "--output", tmp_path / "c", "--exclude", f"sst2,{rows}", "--data_dir",
          tmp_path / "tasks")  # fmt: skip
    told = manifest(tmp_path / "c")
    assert told["sentences"]["drops"]["excluded"] == 2
    assert told["sentences"]["shared_with"] == {"rows.txt": 1, "sst2": 1}
    assert [(one["name"], one["texts"]) for one in told["config"]["excluded"]] == [
        ("sst2", 2), ("rows.txt", 4)
    ]  # fmt: skip
    listed = [json.loads(line) for path in sorted((tmp_path / "c/excluded").glob("*.jsonl"))
              for line in path.read_text().splitlines()]  # fmt: skip
    places = {line["shared_with"]: (line["place"], line["document_id"]) for line in listed}
    assert places["sst2"] == ("validation.jsonl, line 1", "3-0")
    assert places["rows.txt"] == ("line 3", "3-0")
    said = capsys.readouterr().out
    assert "excluded, sst2: 1 sentences share words with one of 2 texts (see" in said
    # Another of them shares words with both.
    assert "rows.txt: 1 sentences share words with one of 4 texts, and with none above" in said
    card = (tmp_path / "c/sentence_pair/README.md").read_text()
    assert "1 sentences that share words with sst2, 1 more that share words with rows.txt" in card
    assert checked(tmp_path / "c", texts, [f"He said : {lines[0]} !"]).faults == {}
    build(*flags, "--output", tmp_path / "c", "--overwrite")
    assert not list((tmp_path / "c/excluded").glob("*"))
    assert checked(tmp_path / "c", texts, [lines[0]]).faults


def test_rows_are_known_in_every_normal_form_and_with_half_a_pair(tmp_path):
    rows = write_jsonl(tmp_path / "a.jsonl", [{"a": "Le cafe\u0301 d'ici", "b": ["\ud800 x"]}])
    excluded, (told,) = read_excluded([str(rows)], None)
    assert (told.texts, told.unreadable) == (2, 0)
    assert excluded.hits(["Le caf\u00e9 d’ici.", "X!", "Le cafe d'ici"]).tolist() == [0, 1, -1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--exclude", "sst9"), "--exclude: got 'sst9', expected the name of a task"),
        (("--exclude", "sst2", "--data_dir", "nowhere"), "expected nowhere/sst2/validation or"),
        (("--exclude", "a.jsonl,"), "--exclude: got '', expected the name of a task"),
        (("--exclude", ","), "--exclude: got '', expected the name of a task"),
        (("--data_dir", "tasks"), "--data_dir: only --exclude reads it"),
        (("--exclude", "ccpm"), "it is on no hub that we know: give --data_dir"),
        (("--near_duplicates", "thin"), "--near_duplicates: got 'thin', expected one of group"),
    ],
)
def test_bad_flags_are_one_line(tmp_path, flags, message, capsys):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(3))
    flags = [flag.replace("a.jsonl", str(source)) for flag in flags]
    assert main(["--input", str(source), "--output", str(tmp_path / "c"), *flags]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_what_editions_share_is_kept_once(tmp_path):
    rng = random.Random(4)
    records = []
    for family in range(40):
        lines = [sentence(rng) for _ in range(12)]
        for place in range(3):
            text = " ".join(lines[:place] + lines[place + 1 :])
            records.append({"id": f"{family}-{place}", "text": text})
    source = write_jsonl(tmp_path / "in.jsonl", records)
    flags = ("--input", source, "--output", tmp_path / "c", *FLAGS)
    build(*flags)
    assert manifest(tmp_path / "c")["sentences"]["usable"] == 40 * 12
    build(*flags, "--near_duplicates", "drop", "--overwrite")
    assert ledger_holds(tmp_path / "c")["rejected"] == {"near_duplicate": 80}
    assert manifest(tmp_path / "c")["sentences"]["usable"] == 40 * 11


def test_a_split_that_one_cluster_left_empty_is_told_with_its_cause(tmp_path):
    rng = random.Random(4)
    lines = [sentence(rng) for _ in range(30)]
    records = [{"text": " ".join([*lines, sentence(rng)])} for _ in range(9)]
    source = write_jsonl(tmp_path / "in.jsonl", [*records, good_documents(1)[0]])
    build("--input", source, "--output", tmp_path / "c", *FLAGS)
    told = [one for one in manifest(tmp_path / "c")["warnings"] if one.startswith("no validation")]
    cause = "9 of 10 documents are near duplicates, which stand in one split; give others"
    assert told == [f"no validation row: {cause}"]
    build("--input", source, "--output", tmp_path / "d", *FLAGS, "--near_duplicates", "drop")
    told = manifest(tmp_path / "d")["warnings"]
    assert any("the documents are too few for --validation_fraction" in one for one in told)


def test_names_that_are_no_utf8_stand_in_manifest_and_card(tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(6))
    rows = tmp_path / "\udcff.TXT"
    rows.write_text("a row\n")
    build("--input", source, "--output", tmp_path / "c", "--exclude", rows, "--formats",
          "sentence_pair", "--validation_fraction", 0)  # fmt: skip
    assert manifest(tmp_path / "c")["config"]["excluded"][0]["name"] == rows.name
    assert (
        r"0 sentences that share words with \udcff.TXT"
        in (tmp_path / "c/sentence_pair/README.md").read_text()
    )


@pytest.mark.parametrize("names", ["abc", "bac", "cba"])
def test_of_equal_texts_one_that_splits_is_kept(tmp_path, names):
    """On one line, a line each, and all but the last line; whichever is read first."""
    rng = random.Random(6)
    lines = [sentence(rng) for _ in range(12)]
    texts = {"one": " ".join(lines), "many": "\n".join(lines), "most": "\n".join(lines[:-1])}
    others = good_documents(6)
    for name, (what, text) in zip(names, texts.items(), strict=True):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"id": what, "text": text}, *others])
        others = []
    build("--input", tmp_path / "*.jsonl", "--output", tmp_path / "c", "--splitter", "lines",
          "--near_duplicates", "drop", "--formats", "sentence_pair", "--min_sentences", 2,
          "--validation_fraction", 0)  # fmt: skip
    told = ledger_holds(tmp_path / "c")
    assert told["duplicates"] == 1
    assert told["rejected"] == {"near_duplicate": 1, "too_few_sentences": 6}
    rows = open_corpus(tmp_path / "c/sentence_pair").read("train")
    assert {*rows["document_id"].to_pylist()} == {"many"}
