"""Files of labelled rows: no line is lost, none takes more than its bounds, none is a traceback."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import random
import time
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from ppt.errors import InputError, PPTError
from ppt.tasks import readers, unpacked
from ppt.tasks.cells import BadRow
from ppt.tasks.readers import read_table
from ppt.tasks.user_file import load_task_file

MUTATIONS = int(os.environ.get("PPT_FUZZ", "50"))
"""Mutated files of each kind in the fuzz test; each is to be rows or one line."""

HEADER = ["text", "label"]
ANY_TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("\",;\t\n\r'\\ "), max_size=12)
ROWS = st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=6)


def written(rows, sign, **how):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=sign, **how).writerows([HEADER, *rows])
    return text.getvalue()


def table_of(folder, name, data, **how):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_table(path, **how)


def cells_of(table):
    return [row if isinstance(row, BadRow) else tuple(row.values()) for _, row in table.rows]


def counts_of(table):
    bad = sum(isinstance(row, BadRow) for _, row in table.rows)
    return len(table.rows) - bad, bad


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rows")


@given(ROWS)
@example([("a,0\nb", "1"), ("x", "")])
@example([("\r", '"'), ("\x1d", "\x85")])
def test_rows_that_a_csv_writer_wrote_come_back_equal(folder, rows):
    for sign, name, quoting in (
        (",", "a.csv", None),
        (";", "b.csv", "csv"),
        ("\t", "c.tsv", "csv"),
    ):
        table = table_of(folder, name, written(rows, sign), quoting=quoting)
        assert cells_of(table) == rows
    quoted = written(rows, "\t", quoting=csv.QUOTE_ALL)
    assert cells_of(table_of(folder, "all.tsv", quoted)) == rows


@given(st.lists(st.tuples(*[st.text(st.sampled_from("ab\"' ,"), min_size=1)] * 2), min_size=1))
def test_rows_without_tabs_and_line_ends_come_back_equal_from_tsv(folder, rows):
    plain = "".join("\t".join(cells) + "\n" for cells in [HEADER, *rows])
    assert cells_of(table_of(folder, "none.tsv", plain, quoting="none")) == rows
    minimal = written(rows, "\t")
    assert cells_of(table_of(folder, "minimal.tsv", minimal)) == rows


@given(st.lists(st.text(st.sampled_from('a",\t\n\r'), max_size=9), max_size=9), st.booleans())
@example(lines=['"', '"\t\ta\t'], is_csv=False)
def test_every_line_is_in_a_row_or_is_a_reject(folder, lines, is_csv):
    """The rows of any file begin on different lines, in order, and leave no line out."""
    name, sign = ("a.csv", ",") if is_csv else ("a.tsv", "\t")
    text = f"text{sign}label\n" + "".join(f"{line}\n" for line in lines)
    table = table_of(folder, name, text)
    places = [int(place.removeprefix("line ")) for place, _ in table.rows]
    assert places == sorted({*places})
    physical = list(io.StringIO(text, newline=""))
    ends = [*places[1:], len(physical) + 1][: len(places)]
    for row, start, end in zip(cells_of(table), places, ends, strict=True):
        first, *rest = physical[start - 1 : end - 1]
        alone = [tuple(first.rstrip("\r\n").split(sign)), *csv_rows([first], sign)]
        whole, *blank = csv_rows([first, *rest], sign)
        # A row of several lines holds all of them; blank cells at its end count for nothing.
        if any(line.strip("\r\n") for line in rest):
            assert not any(blank)
            told = [i for i, cell in enumerate(whole, 1) if i > 2 and cell.strip()]
            width = max(told, default=len(whole))
            assert row == whole[:2] or f"{width} cells" in row.detail
        else:
            assert isinstance(row, BadRow) or any(row == one[:2] for one in [*alone, whole])
    assert counts_of(table)[0] + counts_of(table)[1] == len(places)


def csv_rows(lines, sign):
    return [tuple(cells) for cells in csv.reader(lines, delimiter=sign)]


LINES = [
    f"The {one} was fine.{{}}{i % 2}" for i, one in enumerate(["soup", "tea", "pie", "jam", "ice"])
]


def file_of(sign, *changed):
    lines = [line.format(sign) for line in LINES]
    for place, line in changed:
        lines[place] = line.format(sign)
    return f"text{sign}label\n" + "".join(f"{line}\n" for line in lines)


STRAY = {
    "pair.tsv": (file_of("\t", (1, '" It began.{}1'), (3, 'It ended. "{}1')), (5, 0)),
    "one.tsv": (file_of("\t", (1, '" It began.{}1')), (5, 0)),
    "inch.tsv": (file_of("\t", (1, 'A 5" plate.{}1'), (2, '"Good", he said.{}0')), (5, 0)),
    "all marked.tsv": (file_of("\t", (0, '"Fine!"{}0'), (2, '"Good!"{}0')), (5, 0)),
    "one.csv": (file_of(",", (1, '" It began.{}1')), (4, 1)),
    "after.csv": (file_of(",", (1, '"Good", he said.{}1')), (4, 1)),
    "two.csv": (file_of(",", (1, '" Began.{}1'), (3, 'A 5" plate. "{}1')), (4, 1)),
    "ragged.csv": (file_of(",", (1, "one"), (3, "a{0}b{0}c")), (3, 2)),
    "last.csv": (file_of(",", (4, '"open{}1')), (4, 1)),
}  # fmt: skip


@pytest.mark.parametrize("name", STRAY)
def test_a_stray_mark_costs_one_row_at_most_and_no_other(folder, name):
    text, counts = STRAY[name]
    table = table_of(folder, name, text)
    assert counts_of(table) == counts
    if counts[1] == 0:
        lines = text.splitlines()[1:]
        assert cells_of(table) == [tuple(line.split("\t")) for line in lines]
    else:
        bad = [place for place, row in table.rows if isinstance(row, BadRow)]
        assert bad[0] == ("line 3" if name != "last.csv" else "line 6")


def test_lines_that_a_well_set_mark_spans_are_told_and_quoting_parts_them(folder):
    text = file_of(",", (1, '" It began.{}1'), (3, 'It ended. "{}1'))
    table = table_of(folder, "pair.csv", text)
    assert len(table.rows) == 3
    assert "line 3 and 2 after it; if they are, quoting: none" in table.note
    parted = table_of(folder, "pair.csv", text, quoting="none")
    assert (len(parted.rows), parted.note) == (5, "")


def test_quoted_tsv_is_read_as_such_where_its_marks_show_it(folder):
    said, lines = 'She said "no".\t0', '"Two\nlines"\t1'
    table = table_of(folder, "a.tsv", f'text\tlabel\n"She said ""no""."\t0\n{lines}\nplain\t1\n')
    assert cells_of(table) == [('She said "no".', "0"), ("Two\nlines", "1"), ("plain", "1")]
    assert cells_of(table_of(folder, "b.tsv", f"text\tlabel\n{said}\n")) == [
        tuple(said.split("\t"))
    ]


SHAPES = {
    "sep.csv": "\ufeffsep=;\ntext;label\na, b;0\nc;1\n",
    "pipe.csv": "sep=|\ntext|label\na, b|0\nc|1\n",
    "trailing.csv": 'text,label\n"a, b",0,\nc,1,,\n',
    "nameless.csv": 'text,label,,,\n"a, b",0,,,\nc,1,,,\n',
    "index.csv": ',text,label\n0,"a, b",0\n1,c,1\n',
    "mac.csv": 'text,label\r"a, b",0\rc,1\r',
    "mac with semicolons.csv": "text;label\ra, b;0\rc;1\r",
    "mac.sep.csv": "sep=;\rtext;label\ra, b;0\rc;1\r",
    "blank lines first.csv": "\n\r\ntext;label\na, b;0\nc;1\n",
    "blank lines and sep.csv": "\nsep=;\n\ntext;label\na, b;0\nc;1\n",
    "commas in the header.csv": '"text";"label"\na, b;0\nc;1\n',
    "array.json": '[{"text": "a, b", "label": "0"},\n {"text": "c", "label": "1"}]',
    "array.jsonl": ' [{"text": "a, b", "label": "0"}, {"text": "c", "label": "1"}]\n',
    "lines.json": '{"text": "a, b", "label": "0"}\n{"text": "c", "label": "1"}\n',
    "UPPER.CSV": 'text,label\n"a, b",0\nc,1\n',
    "packed.csv.bz2": bz2.compress(b'text,label\n"a, b",0\nc,1\n'),
    "packed.csv.xz": lzma.compress(b'text,label\n"a, b",0\nc,1\n'),
    "packed.json.gz": gzip.compress(b'[{"text": "a, b", "label": 0}, {"text": "c", "label": 1}]'),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_files_as_programs_write_them_are_read(folder, name):
    rows = cells_of(table_of(folder, name, SHAPES[name]))
    assert [(text, str(label)) for text, label in rows] == [("a, b", "0"), ("c", "1")]


def test_a_nameless_column_before_others_is_told(folder):
    """Such as the index of a DataFrame, which nobody finds again in labelled rows."""
    assert table_of(folder, "a.csv", SHAPES["index.csv"]).note == (
        "columns without a name, which are not read: 1"
    )
    assert table_of(folder, "b.csv", SHAPES["nameless.csv"]).note == ""


def test_text_in_a_nameless_column_is_a_reject(folder):
    table = table_of(folder, "a.csv", "text,label,,\na,0,,\nb,1,, and more\n")
    (_, kept), (place, bad) = table.rows
    assert kept == {"text": "a", "label": "0"}
    assert (place, bad.detail[:34]) == ("line 3", "4 cells, but the header has 2 (quo")


def test_parts_of_objects_are_columns(folder):
    line = json.dumps({"q": "?", "o": {"text": ["a", "b"], "deep": {"er": 1}}, "e": {}})
    table = table_of(folder, "a.jsonl", line)
    assert table.columns == ("q", "o.text", "o.deep.er", "e")
    assert table.lacks("o") == (
        f"'o' of {folder}/a.jsonl holds objects: name one part, o.text, o.deep.er."
    )


TWO = [
    ({"o": {"text": ["a", "b"]}, "o.text": ["c"]}, "o.text"),
    ({"o.x.y": "a", "o": {"x": {"y": "b"}, "z": 1}}, "o.x.y"),
    ({"caf\xe9": "a", "cafe\u0301": "b"}, "caf\xe9"),
    ({"o": {"caf\xe9": "a", "cafe\u0301": "b"}}, "o.caf\xe9"),
]


@pytest.mark.parametrize(("row", "name"), TWO)
def test_two_columns_of_one_name_are_no_row(folder, row, name):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row]), sink)
    tables = [table_of(folder, "a.jsonl", json.dumps(row)), readers.rows_table("here", [row])]
    if "o" in row:  # Parquet's own columns are refused as a whole
        tables.append(table_of(folder, "a.parquet", sink.getvalue()))
    for table in tables:
        ((_, bad),) = table.rows
        assert bad == BadRow(f"the key {name!r} stands twice")


def parquet_of(names):
    sink = io.BytesIO()
    pq.write_table(pa.table([[1]] * len(names), names=names), sink)
    return sink.getvalue()


PACK = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.compress,
}  # fmt: skip


def streams(compress, damaged=False):
    """Three packed streams in a row, 90 rows in all; the second `damaged` if asked."""
    first, second, third = (
        compress(head + b"".join(b"row %d%d,0\n" % (part, i) for i in range(30)))
        for part, head in enumerate((b"text,label\n", b"", b""))
    )
    half = len(second) // 2
    middle = second[:half] + bytes([second[half] ^ 255]) + second[half + 1 :]
    return first + (middle if damaged else second) + third


@pytest.mark.parametrize("name", ["gz", "bz2", "xz", "zst"])
def test_streams_of_a_packed_file_are_read_to_the_last(folder, name):
    data = streams(PACK[name])
    assert [row["text"] for _, row in table_of(folder, f"a.csv.{name}", data).rows] == [
        f"row {part}{i}" for part in range(3) for i in range(30)
    ]


def test_streams_of_xz_may_be_padded(folder):
    """By zeros, in fours, as its format has it; one part may hold nothing else."""
    data = b"".join(lzma.compress(b) + bytes(1 << 17) for b in (b"text,label\na,0\n", b"b,1\n"))
    assert [row["text"] for _, row in table_of(folder, "a.csv.xz", data).rows] == ["a", "b"]


WHOLE = {
    **{
        f"damaged.csv.{name}": (streams(PACK[name], damaged=True), f"d.csv.{name} is no whole ")
        for name in ("gz", "bz2", "xz")  # Zstandard has no checksum unless it is asked for
    },
    "object.json": ('{"version": 2, "data": [{"text": "a"}]}', "one JSON object with the keys ver"),
    "cut.json": ('[{"text": "a"}, {"te', "is no whole JSON"),
    "deep.json": ("[" * 100_000, "is no whole JSON"),
    "rows.xlsx": ("PK", "save the sheet as CSV UTF-8"),
    "rows.csv.zip": ("PK", "unpack it"),
    "rows.txt": ("a", "rename it .tsv or .csv"),
    "cut.csv.bz2": (bz2.compress(b"text,label\n" * 99)[:-9], "no whole bzip2 file"),
    "cut.csv.xz": (lzma.compress(b"text,label\n" * 99)[:-9], "no whole xz file"),
    "none.csv.bz2": ("text,label\n", "no whole bzip2 file"),
    "none.csv.gz": ("text,label\n", "no whole gzip file"),
    "header.csv": ('"text,label\na,0\n', "its first line cannot be read"),
    "twice.csv": ("a,b,a\n1,2,3\n", "two columns have one name in a, b, a"),
    "forms.csv": ("\xe9,e\u0301\n1,2\n", "two columns have one name"),
    "twice.parquet": (parquet_of(["a", "b", "a"]), "two columns have one name in a, b, a"),
    "esc.csv": ("a,\x1b[2J,\x1b[2J\n1,2,3\n", r"one name in a, \x1b[2J, \x1b[2J"),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_what_cannot_be_read_is_said_in_one_line(folder, name):
    data, message = WHOLE[name]
    with pytest.raises(InputError) as caught:
        table_of(folder, name, data)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", [*readers.KINDS, "csv.gz", "jsonl.xz", "json.zst", "parquet.bz2"])
def test_a_pipe_is_not_waited_for(folder, kind):
    os.mkfifo(path := folder / f"endless.{kind}")
    with pytest.raises(InputError, match="it is no file"):
        read_table(path)


# --- bounds


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(unpacked, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr(unpacked, "MAX_LINE", 1 << 16)
    monkeypatch.setattr(unpacked, "MAX_LINES", 300_000)
    monkeypatch.setattr(readers, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr(readers, "MAX_TEST_ROWS", 1000)


def dictionary_bomb(rows, length):
    sink = io.BytesIO()
    table = pa.table(
        {"text": pa.array(["x" * length] * rows).dictionary_encode(), "label": [0] * rows}
    )
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


BOMBS = {
    "cell.csv.gz": (gzip.compress(b"text,label\n" + b"x" * (1 << 21)), "in one line"),
    "cells.csv.gz": (gzip.compress(b'text,label\n"' + b"x\n" * (1 << 20)), "than 1,000 rows"),
    "blank.csv.bz2": (bz2.compress(b"text,label\n" + b"\n" * (1 << 21)), "than 300,000 lines"),
    "all.csv.gz": (gzip.compress((b"x" * 8000 + b",0\n") * 999), "than 1 MiB in all"),
    "rows.jsonl.xz": (lzma.compress(b'{"text": "a"}\n' * 2000), "more than 1,000 rows"),
    "array.json.gz": (gzip.compress(b"[" + b"0," * (1 << 20) + b"0]"), "more than 0 MiB"),
    "dictionary.parquet": (dictionary_bomb(500, 10_000), "more than 1 MiB so far"),
    "dictionary.parquet.gz": (gzip.compress(dictionary_bomb(500, 10_000)), "1 MiB so far"),
    "zeros.parquet.gz": (gzip.compress(bytes(1 << 21)), "holds more than"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_unpacks_to_much_is_refused_in_a_line(folder, small, name):
    data, message = BOMBS[name]
    assert len(data) < 1 << 16
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        table_of(folder, name, data)
    assert message in str(caught.value)
    assert time.monotonic() - began < 10


def test_training_rows_are_read_up_to_the_limit_however_much_follows(folder, small):
    data = gzip.compress(b"text,label\n" + b"a,0\n" * (1 << 20))
    assert len(table_of(folder, "long.csv.gz", data, limit=10).rows) == 10


def test_equal_rows_and_lone_marks_take_no_quadratic_time(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text(YAML)
    (tmp_path / "train.csv").write_text(
        "text,label\n" + "same,0\n" * 30_000 + 'b,1\nc,1\nd,0\n"x,0\n'
    )
    began = time.monotonic()
    assert len(load_task_file(path).train) == 4
    (tmp_path / "train.csv").write_text(
        "text,label\n" + "".join(f'"open {i},0\n' for i in range(20_000)) + "a,0\nb,0\nc,1\nd,1\n"
    )
    assert len(load_task_file(path).train) == 4
    assert time.monotonic() - began < 20


# --- any file


YAML = """\
name: tea
format: sentiment
train: train.csv
columns: {text_a: text, label: label}
labels:
  0: bad
  1: good
pattern: "{text_a} It is {mask}"
"""
CHOICE = """\
format: multiple_choice
train: train.jsonl
columns: {text_a: q, options: o.text, label: a}
answer: number
"""
TEXTS = [{"text": f'Tea, "{i}"\tof\nit', "label": i % 2} for i in range(6)]
CHOICES = [{"q": f"Which {i}?", "o": {"text": ["x", "y"]}, "a": 1 + i % 2} for i in range(6)]


def parquet_of(rows):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=3)
    return sink.getvalue()


def json_lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def csv_of(sign):
    rows = [tuple(map(str, row.values())) for row in TEXTS]
    return written(rows, sign).encode()


def yaml_for(name):
    return YAML.replace("train.csv", name).encode()


SEEDS = {
    "train.csv": (yaml_for("train.csv"), csv_of(",")),
    "train.tsv": (yaml_for("train.tsv"), csv_of("\t")),
    "train.jsonl": (CHOICE.encode(), json_lines(CHOICES)),
    "train.json": (yaml_for("train.json"), json.dumps(TEXTS).encode()),
    "train.parquet": (yaml_for("train.parquet"), parquet_of(TEXTS)),
    "train.csv.gz": (yaml_for("train.csv.gz"), gzip.compress(csv_of(","), mtime=0)),
    "train.csv.xz": (yaml_for("train.csv.xz"), lzma.compress(csv_of(","))),
    "train.csv.bz2": (yaml_for("train.csv.bz2"), bz2.compress(csv_of(","))),
}
WORDS = [
    b'"', b"\n", b"\r", b"\t", b",", b"{", b"[", b"]", b"}", b":", b"&a ", b"*a ", b"\\ud800",
    b"\\x1b", b"\\UFFFFFFFF", b"!!python/object:os.system", b"!!int ", b"<<", b"null", b"NaN",
    b"1e999", b"9" * 400, b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xae",
    b"../", b"[" * 3000, b"x" * 5000, b"sep=;", b"label", b"text", b"- ", b"? ", b"| ", b"%", b"@",
    b"~", b"2024-01-01",
]  # fmt: skip


def mutated(data, draw):
    """The bytes with some changes: bits, cuts, doubled parts, signs that readers stumble on."""
    data = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(data) + 1)
        end = min(len(data), place + draw.choice((1, 1, 4, 40)))
        match draw.randrange(5):
            case 0:
                data[place:end] = bytes(draw.randrange(256) for _ in range(end - place))
            case 1:
                del data[place:end]
            case 2:
                data[place:place] = draw.choice(WORDS)
            case 3:
                data[place:end] = draw.choice(WORDS)
            case 4:
                data[place:place] = data[place:end] * draw.choice((1, 2, 300))
    return bytes(data)


@pytest.mark.promise("task")
@pytest.mark.parametrize("name", SEEDS)
def test_fuzz_any_change_of_a_task_gives_rows_or_one_line(tmp_path, name, cases):
    cases(MUTATIONS)
    draw = random.Random(name)
    yaml, data = SEEDS[name]
    path = tmp_path / "task.yaml"
    path.write_bytes(yaml)
    (tmp_path / name).write_bytes(data)
    assert len(load_task_file(path).train) == 6
    for _ in range(MUTATIONS):
        in_yaml = draw.random() < 0.3
        path.write_bytes(mutated(yaml, draw) if in_yaml else yaml)
        (tmp_path / name).write_bytes(data if in_yaml else mutated(data, draw))
        began = time.monotonic()
        try:
            loaded = load_task_file(path)
        except PPTError as error:
            told = str(error)
            assert told.isprintable()
            assert len(told) < 2000
        else:
            assert loaded.report().replace("\n", "").isprintable()
            kept = len(loaded.train) + len(loaded.test) + len(loaded.rejects)
            assert kept == sum(loaded.read.values())
            json.dumps([asdict(one) for one in loaded.rejects], ensure_ascii=False).encode()
            json.dumps(loaded.train, ensure_ascii=False).encode()
        assert time.monotonic() - began < 10
