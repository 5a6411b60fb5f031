"""Reading documents: what is kept, what is refused, why and where."""

import errno
import gzip
import io
import json
import os
import tempfile
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from apache_beam.io.localfilesystem import LocalFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import files
from pipelines.files import FileSlice
from pipelines.finding import match
from pipelines.preparing import ReadOptions
from pipelines.readers import FORMATS, estimated_text_bytes, expand, read
from ppt.corpus.records import Document, Reject
from ppt.errors import ConfigError, InputError, UnknownNameError

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}
LONG = 200
OPTIONS = ReadOptions(max_document_chars=LONG)


def read_slices(slices: Iterable[FileSlice], options: ReadOptions) -> list[Document | Reject]:
    in_order = sorted(slices, key=lambda part: part.start)
    return [record for part in in_order for record in read(part, options)]


def read_path(
    path: Path, options: ReadOptions = OPTIONS, slice_bytes: int = 32 << 20
) -> list[Document | Reject]:
    return read_slices(expand([str(path)], slice_bytes=slice_bytes), options)


def read_bytes(
    name: str, data: bytes, options: ReadOptions = OPTIONS, slice_bytes: int = 32 << 20
) -> list[Document | Reject]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        return read_path(path, options, slice_bytes)


def brief(records: Iterable[Document | Reject]) -> list[tuple[int, str]]:
    """(offset, text or reason) of each record; the reason in angle brackets."""
    return [
        (record.offset, record.text if isinstance(record, Document) else f"<{record.reason}>")
        for record in records
    ]


def json_line(text: object, **fields: object) -> bytes:
    return json.dumps({"text": text, **fields}).encode() + b"\n"


def parquet(columns: dict[str, object], **how: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **how)
    return file.getvalue()


# ---- good files


@pytest.mark.parametrize("compression", COMPRESS)
def test_every_format_gives_the_documents_it_holds(compression: str) -> None:
    texts = ["One é.", "Two\r\n 𝄞."]
    held = {
        "a.txt": texts[1].encode(),
        "a.md": texts[1].encode(),
        "a.lines": "One é.\n\nlast, without a line end".encode(),
        "a.jsonl": json_line(texts[0], id="x") + json_line(texts[1], id=7),
        "a.ndjson": json_line(texts[0]).replace(b"\n", b"\r\n") + json_line(texts[1])[:-1],
        "a.parquet": parquet({"text": texts, "id": [5, None], "n": [1, 2]}),
    }
    second = len(json_line(texts[0])) + 1
    expected = {
        "a.txt": [("{}:0", texts[1], 0)],
        "a.md": [("{}:0", texts[1], 0)],
        "a.lines": [("{}:0", texts[0], 0), ("{}:9", "last, without a line end", 9)],
        "a.jsonl": [("x", texts[0], 0), ("7", texts[1], len(json_line(texts[0], id="x")))],
        "a.ndjson": [("{}:0", texts[0], 0), (f"{{}}:{second}", texts[1], second)],
        "a.parquet": [("5", texts[0], 0), ("{}:1", texts[1], 1)],
    }
    for name, data in held.items():
        full = name + compression
        found = read_bytes(full, COMPRESS[compression](data), ReadOptions(extract="none"))
        assert found == [
            Document(key.format(full), text, full, offset) for key, text, offset in expected[name]
        ]


@pytest.mark.parametrize(
    "kind",
    [
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
    ],
    ids=str,
)
def test_every_kind_of_string_column_is_read(kind: pa.DataType) -> None:
    data = parquet({"text": pa.array(["é", None, "b"]).cast(kind)})
    assert brief(read_bytes("a.parquet", data)) == [(0, "é"), (1, "<missing_field>"), (2, "b")]


def test_a_column_of_nothing_but_nulls_is_missing_row_by_row() -> None:
    data = parquet({"text": pa.nulls(2)})
    assert brief(read_bytes("a.parquet", data)) == [(0, "<missing_field>"), (1, "<missing_field>")]


def test_other_fields_can_hold_text_and_id() -> None:
    options = ReadOptions(text_field="body", id_field="key")
    line = json.dumps({"body": "b", "key": "k", "text": 1, "id": 2}).encode()
    table = parquet({"body": ["b"], "key": ["k"], "text": [1], "id": [2]})
    for name, data in {"a.jsonl": line, "a.parquet": table}.items():
        assert read_bytes(name, data, options) == [Document("k", "b", name, 0)]


@pytest.mark.parametrize("name", ["a.txt", "a.lines", "a.jsonl"])
def test_byte_order_mark_is_stripped(name: str) -> None:
    text = json_line("a") if name == "a.jsonl" else b"a"
    assert brief(read_bytes(name, b"\xef\xbb\xbf" + text)) == [(0, "a")]


def test_empty_files() -> None:
    assert brief(read_bytes("a.txt", b"")) == [(0, "<blank>")]
    for name in ("a.lines", "a.jsonl"):
        assert read_bytes(name, b"") == []
        assert read_bytes(name, b"\n \r\n\t\n") == []
        for suffix, compress in COMPRESS.items():
            assert read_bytes(name + suffix, compress(b"")) == []
    assert read_bytes("a.parquet", parquet({"text": pa.array([], pa.string())})) == []


# ---- bad records: one reject each, and the neighbours are kept

BAD_LINES = {
    "lines": [
        (b"\xff\xfe", "invalid_utf8", "byte 0xff at 0 of the record; is it UTF-16?"),
        (b"abc\xc3", "invalid_utf8", "byte 0xc3 at 3 of the record"),
        (b"\xed\xa0\x80", "invalid_utf8", "byte 0xed at 0 of the record"),
        (b"a\0b", "nul_bytes", "at character 1"),
        ("\u3000\u00a0".encode(), "blank", ""),
        (b"x" * (LONG + 1), "too_long", f"{LONG + 1} characters"),
        (b"x" * (4 * LONG + 1), "too_long", f"a line of {4 * LONG + 1} bytes"),
    ],
    "jsonl": [
        (b'{"text": "\xff"}', "invalid_utf8", "byte 0xff at 10 of the record"),
        (b'{"text": "a', "invalid_json", "Unterminated string starting at: line 1 column 10"),
        (b"text", "invalid_json", "Expecting value: line 1 column 1 (char 0)"),
        (b'{"text": "a"} {}', "invalid_json", "Extra data: line 1 column 15 (char 14)"),
        (b"[" * 100_000, "invalid_json", "nested too deeply"),
        (b'{"text": "a", "n": ' + b"9" * 5000 + b"}", "invalid_json", "Exceeds the limit"),
        (b'{"text": "a\0b"}', "nul_bytes", "Invalid control character at: line 1 column 12"),
        (b"\0" * 5, "nul_bytes", "Expecting value"),
        (b'{"text": "a\\u0000b"}', "nul_bytes", "at character 1"),
        (b'{"text": "a", "n": {"text": 1}, "text": "b"}', "invalid_json", "'text' stands twice"),
        (b'["text"]', "not_an_object", "the line is a JSON list; expected an object a line, which"),
        (
            b"[",
            "invalid_json",
            "Expecting value: line 1 column 2 (char 1); expected an object a line",
        ),
        (b"NaN", "not_an_object", "the line is a JSON float"),
        (b"null", "not_an_object", "the line is a JSON NoneType"),
        (
            b'{"body": "a", "\\ud800": 1}',
            "missing_field",
            r"no 'text'; there are ['body', '\ud800']",
        ),
        (b'{"text": null}', "missing_field", "'text' is null"),
        (b'{"text": ["a"]}', "not_a_string", "'text' is list"),
        (b'{"text": "a\\ud800"}', "lone_surrogate", "at character 1"),
        (b'{"text": ""}', "blank", ""),
        (b'{"text": " \\n\\u3000"}', "blank", ""),
        (json_line("x" * (LONG + 1))[:-1], "too_long", f"{LONG + 1} characters"),
        (b" " * (6 * LONG + (1 << 20) + 1), "too_long", "a line of 1049777 bytes"),
    ],
}


@pytest.mark.parametrize(
    ("form", "bad", "reason", "detail"),
    [(form, *row) for form, rows in BAD_LINES.items() for row in rows],
    ids=lambda value: str(value)[:40],
)
def test_bad_line_is_rejected_alone(form: str, bad: bytes, reason: str, detail: str) -> None:
    good = json_line("good") if form == "jsonl" else b"good\n"
    first, reject, last = read_bytes(f"a.{form}", good + bad + b"\n" + good)
    assert brief([first, reject, last]) == [
        (0, "good"),
        (len(good), f"<{reason}>"),
        (len(good) + len(bad) + 1, "good"),
    ]
    assert isinstance(reject, Reject)
    assert reject.detail.startswith(detail)
    assert bool(reject.detail) == bool(detail)
    json.dumps(reject.as_dict(), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b" \n\t", "blank"),
        (b"\xef\xbb\xbf", "blank"),
        ("text".encode("utf-16"), "invalid_utf8"),
        (b"caf\xe9", "invalid_utf8"),
        (b"a\0", "nul_bytes"),
        (b"x" * (LONG + 1), "too_long"),
        (b"x" * (4 * LONG + 1), "too_long"),
    ],
)
def test_bad_text_file_is_one_reject(data: bytes, reason: str) -> None:
    assert brief(read_bytes("a.txt", data)) == [(0, f"<{reason}>")]


def test_bad_rows_are_rejected_alone() -> None:
    spoilt = pa.StringArray.from_buffers(
        3, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffc")
    )
    assert brief(read_bytes("a.parquet", parquet({"text": spoilt}))) == [
        (0, "a"),
        (1, "<invalid_utf8>"),
        (2, "c"),
    ]
    texts = ["a", None, " ", "x" * (LONG + 1), "\0", "b"]
    assert brief(read_bytes("a.parquet", parquet({"text": texts}))) == [
        (0, "a"),
        (1, "<missing_field>"),
        (2, "<blank>"),
        (3, "<too_long>"),
        (4, "<nul_bytes>"),
        (5, "b"),
    ]


def test_an_id_that_is_asked_for_must_be_there() -> None:
    options = ReadOptions(id_field="key")
    lines = [json_line("a", key="k"), json_line("b", id="i"), json_line("c", key=None)]
    table = parquet({"text": ["a", "b"], "key": ["k", None]})
    assert brief(read_bytes("a.jsonl", b"".join(lines), options)) == [
        (0, "a"),
        (len(lines[0]), "<missing_field>"),
        (len(lines[0] + lines[1]), "<missing_field>"),
    ]
    assert brief(read_bytes("a.parquet", table, options)) == [(0, "a"), (1, "<missing_field>")]
    assert brief(read_bytes("a.lines", b"lines have no fields", options))[0][0] == 0


@pytest.mark.parametrize(
    ("columns", "reason", "detail"),
    [
        (
            {"body": ["a", "b"], "id": [1, 2]},
            "missing_field",
            "no 'text'; there are ['body', 'id']",
        ),
        (
            pa.Table.from_arrays([pa.array(["a", "b"])] * 2, names=["text", "text"]),
            "missing_field",
            "several 'text'; there are ['text', 'text']",
        ),
        ({"text": [1, 2]}, "not_a_string", "column 'text' is int64"),
        ({"text": [["a"], ["b"]]}, "not_a_string", "column 'text' is list<element: string>"),
    ],
)
def test_unfit_columns_are_told_once_a_file(
    columns: dict[str, object], reason: str, detail: str
) -> None:
    data = parquet(columns, row_group_size=1)
    for slice_bytes in (10, len(data)):
        assert read_bytes("a.parquet", data, slice_bytes=slice_bytes) == [
            Reject("a.parquet", 0, reason, detail, records=2)
        ]


@pytest.mark.parametrize(
    "ids",
    [
        [1.5, 2.5],
        [["a"], ["b"]],
        [datetime(2020, 1, day, tzinfo=UTC) for day in (1, 2)],
        pa.array([b"0" * 16, b"1" * 16], pa.binary(16)),
        pa.array([b"a", b"b"], pa.binary()),
    ],
    ids=lambda ids: str(ids)[:20],
)
def test_a_column_that_cannot_be_an_id_is_none_unless_it_was_asked_for(ids: object) -> None:
    data = parquet({"text": ["a", "b"], "id": ids}, row_group_size=1)
    documents = read_bytes("a.parquet", data)
    assert brief(documents) == [(0, "a"), (1, "b")]
    assert [one.id for one in documents] == ["a.parquet:0", "a.parquet:1"]
    (refused,) = read_bytes("a.parquet", data, ReadOptions(id_field="id"))
    assert (refused.reason, refused.records) == ("not_a_string", 2)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1.5", "not_a_string"), ("true", "not_a_string"), ('{"$oid": "0"}', "not_a_string"),
        ("[2]", "not_a_string"), ('"\\udfff"', "lone_surrogate"), ("null", "missing_field"),
        ('" "', "missing_field"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_an_id_is_none_unless_it_was_asked_for(
    value: str, reason: str
) -> None:
    line = f'{{"text": "a", "id": {value}}}\n'.encode()
    (document,) = read_bytes("a.jsonl", line)
    assert document == Document("a.jsonl:0", "a", "a.jsonl", 0)
    (refused,) = read_bytes("a.jsonl", line, ReadOptions(id_field="id"))
    assert refused.reason == reason


def test_a_string_of_parquet_that_is_no_utf8_is_no_id() -> None:
    ids = pa.array([b"\xff", b"ok"], pa.binary()).view(pa.string())
    found = read_bytes("a.parquet", parquet({"text": ["a", "b"], "id": ids}))
    assert [one.id for one in found] == ["a.parquet:0", "ok"]


def test_an_id_that_is_asked_for_stands_once_in_a_line() -> None:
    line = b'{"text": "a", "key": 1, "key": 2, "id": 3, "id": 4}'
    (refused,) = read_bytes("a.jsonl", line, ReadOptions(id_field="key"))
    assert (refused.reason, refused.detail) == ("invalid_json", "'key' stands twice")


def test_a_text_that_stands_twice_is_seen_behind_escapes() -> None:
    line = json.dumps({"té": "a", "id": 1})[:-1] + json.dumps({"té": "b"}).replace("{", ", ")
    options = ReadOptions(text_field="té")
    (refused,) = read_bytes("a.jsonl", line.encode(), options)
    assert (refused.reason, refused.detail) == ("invalid_json", "'té' stands twice")
    (whole,) = read_bytes("a.jsonl", json.dumps({"té": "a", "id": 1}).encode(), options)
    assert (whole.id, whole.text) == ("1", "a")


def test_carriage_returns_alone_end_lines_of_text_and_not_those_of_json() -> None:
    found = read_bytes("a.lines", b"One doc.\rTwo.\r\rThree.\r\r\nFour.\r\n")
    places = [(0, "One doc."), (9, "Two."), (15, "Three."), (24, "Four.")]
    assert [(one.offset, one.text) for one in found] == places
    (whole,) = read_bytes("a.jsonl", b'{"id": 1,\r "text": "a b"}\r\n')  # white space of JSON
    assert whole.text == "a b"


def test_strings_of_parquet_are_utf8_whatever_the_encoding_of_other_files() -> None:
    texts = pa.array(["Ein Café.".encode(), "Ein Café.".encode("cp1252")], pa.binary())
    found = read_bytes(
        "a.parquet", parquet({"text": texts.view(pa.string())}), ReadOptions(encoding="cp1252")
    )
    assert [(one.text, one.notes) for one in found] == [
        ("Ein Café.", (("encoding utf-8", 1),)),
        ("Ein Café.", (("encoding cp1252", 1),)),
    ]


# ---- files that cannot be read, or only in part


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.jsonl.gz", "a.parquet", "a.parquet.zst"])
def test_dangling_link_is_one_reject(name: str, tmp_path: Path) -> None:
    (tmp_path / name).symlink_to("nowhere")
    (tmp_path / "good.txt").write_text("good")
    for pattern in (tmp_path / name, tmp_path / "a*"):
        assert read_path(pattern) == [
            Reject(name, 0, "unreadable_file", "No such file or directory")
        ]
    slices = expand([str(tmp_path / "*")])
    assert [part.name for part in slices] == ["good.txt", name]


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs Linux's /proc for an EIO")
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.jsonl.zst", "a.parquet"])
def test_read_error_is_one_reject(name: str, tmp_path: Path) -> None:
    (tmp_path / name).symlink_to("/proc/self/mem")
    (reject,) = read_path(tmp_path / name)
    assert brief([reject]) == [(0, "<unreadable_file>")]


def test_read_error_in_parquet_is_no_corruption(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(parquet({"text": ["a"]}))

    class Broken(io.BytesIO):
        def read(self, _: int | None = -1) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    (part,) = expand([str(tmp_path / "a.parquet")])
    with mock.patch.object(Path, "open", return_value=Broken(b"x" * 99)):
        assert list(read(part, OPTIONS)) == [
            Reject("a.parquet", 0, "unreadable_file", os.strerror(errno.EIO))
        ]


@given(st.lists(st.integers(0, 6 << 20), max_size=60))
def test_small_files_are_read_many_at_a_time(sizes: list[int]) -> None:
    slices = [FileSlice(str(n), str(n), "text", "", 0, size, size) for n, size in enumerate(sizes)]
    bundles = files.bundled(slices)
    assert [part for bundle in bundles for part in bundle.slices] == slices
    most = files.share(sum(size + files._OPENING for size in sizes), files._BUNDLE)
    assert most == files._BUNDLE or most == 1 << 20 or len(bundles) <= 33
    for bundle in bundles:  # without its last slice each has room for one more
        weights = [part.size + files._OPENING for part in bundle.slices]
        assert sum(weights[:-1]) < most
    for bundle in bundles[:-1]:
        assert sum(part.size + files._OPENING for part in bundle.slices) >= most


def test_full_disk_is_raised_not_blamed_on_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress(parquet({"text": ["a"]})))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (
        mock.patch.object(tempfile.SpooledTemporaryFile, "write", side_effect=full),
        pytest.raises(OSError, match="No space left"),
    ):
        read_path(tmp_path / "a.parquet.gz")


NUMBERED = [json_line(f"document {number}") for number in range(3)]
THIRD = len(NUMBERED[0]) * 2


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_members_frames_and_padding_are_one_stream(suffix: str) -> None:
    compress = COMPRESS[suffix]
    data = b"".join(NUMBERED)
    halves = compress(data[:40]) + compress(b"") + compress(data[40:])
    assert brief(read_bytes("a.jsonl" + suffix, halves + b"\0" * 5000)) == [
        (index * len(NUMBERED[0]), f"document {index}") for index in range(3)
    ]


def test_zstd_skippable_frames_are_skipped() -> None:
    skippable = bytes.fromhex("502a4d18") + (3).to_bytes(4, "little") + b"abc"
    data = skippable + COMPRESS[".zst"](b"a\n") + skippable
    assert brief(read_bytes("a.lines.zst", data)) == [(0, "a")]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("garbage", [b"garbage", b"\x1f", b"\x28\xb5", b"\0\0\0x"])
def test_trailing_garbage_is_one_reject_after_the_documents(suffix: str, garbage: bytes) -> None:
    data = COMPRESS[suffix](b"".join(NUMBERED)) + garbage
    records = read_bytes("a.jsonl" + suffix, data)
    assert brief(records)[2:] == [(THIRD, "document 2"), (3 * THIRD // 2, "<corrupt_file>")]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("form", ["txt", "lines", "jsonl", "parquet"])
def test_what_is_not_compressed_at_all_is_corrupt(form: str, suffix: str) -> None:
    for data in (b"", b"plain text\n", b"\0" * 100):
        assert brief(read_bytes(f"a.{form}{suffix}", data)) == [(0, "<corrupt_file>")]


def test_line_that_damage_cut_off_is_dropped() -> None:
    compressor = zlib.compressobj(wbits=31)
    data = compressor.compress(b"one\ntwo\nthr") + compressor.flush(zlib.Z_SYNC_FLUSH)
    (*kept, reject) = read_bytes("a.lines.gz", data)
    assert brief(kept) == [(0, "one"), (4, "two")]
    assert reject == Reject("a.lines.gz", 8, "corrupt_file", "the compressed data ends early")
    assert brief(read_bytes("a.txt.gz", data)) == [(0, "<corrupt_file>")]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("before", [b"", b"x" * 5000 + b"\n"])
def test_wrong_checksum_keeps_the_documents(suffix: str, before: bytes) -> None:
    """Also in a second member, of which only the last piece that is fed is damaged."""
    compress, lines = COMPRESS[suffix], b"".join(b"%064x\n" % n**20 for n in range(500))
    data = bytearray(compress(before) + compress(lines))
    data[-8 if suffix == ".gz" else -1] ^= 1
    *kept, (_, last) = brief(read_bytes("a.lines" + suffix, bytes(data)))
    assert kept == brief(read_bytes("a.lines", before + lines))
    assert last == "<corrupt_file>"


def test_blocks_of_zstd_before_a_damaged_one_are_kept() -> None:
    """So well packed that they are fed in one piece with it."""
    line = b"the same, " * 100 + b"\n"
    data = bytearray(COMPRESS[".zst"](line * 1000))
    data[-8:] = bytes(8)
    assert len(data) < files.CODECS["zst"].feed
    *kept, (_, last) = brief(read_bytes("a.lines.zst", bytes(data)))
    assert len(kept) * len(line) > 6 * 2**17
    assert last == "<corrupt_file>"


def test_damaged_row_group_is_one_reject_and_the_others_are_read() -> None:
    texts = [f"document {number} " * 9 for number in range(6)]
    data = bytearray(
        parquet({"text": texts}, row_group_size=2, compression="zstd", use_dictionary=False)
    )
    column = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(1).column(0)
    data[column.data_page_offset + column.total_compressed_size - 9] ^= 0xFF
    expected = [(0, texts[0]), (1, texts[1]), (2, "<corrupt_file>"), (4, texts[4]), (5, texts[5])]
    for slice_bytes in (50, len(data)):
        records = read_bytes("a.parquet", bytes(data), slice_bytes=slice_bytes)
        assert brief(records) == expected


def test_row_group_that_is_shorter_than_its_footer_says_is_told() -> None:
    data = parquet({"text": ["a", "b"]})
    short = pa.table({"text": ["a", "b"]}).to_batches()
    with mock.patch.object(pq.ParquetFile, "iter_batches", return_value=[short[0][:1]]):
        assert read_bytes("a.parquet", data)[1:] == [
            Reject("a.parquet", 1, "corrupt_file", "a row group ends 1 rows early")
        ]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"x" * 99, parquet({"text": ["a"]})[:-3]])
def test_parquet_without_its_footer_is_corrupt(data: bytes) -> None:
    assert brief(read_bytes("a.parquet", data, slice_bytes=7)) == [(0, "<corrupt_file>")]


# ---- memory


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.lines", b"x" * 30_000_000 + b"\ngood", [(0, "<too_long>"), (30_000_001, "good")]),
        ("a.txt", b"x" * 30_000_000, [(0, "<too_long>")]),
        ("a.lines.gz", gzip.compress(bytes(100_000_000), 1), [(0, "<too_long>")]),
        ("a.txt.zst", zstandard.compress(bytes(100_000_000)), [(0, "<too_long>")]),
    ],
    ids=["lines", "text", "gzip bomb", "zstd bomb"],
)
def test_too_long_records_are_never_held(
    name: str, data: bytes, expected: list[tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    tracemalloc.start()
    try:
        assert brief(read_path(tmp_path / name)) == expected
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


# ---- laws

LINES = st.lists(
    st.one_of(
        st.binary(max_size=12),
        st.sampled_from([b"\n", b"\r\n", b"\r", b" ", b"\0", b"\xef\xbb\xbf", b"\xc3", b"{}"]),
        st.sampled_from([*NUMBERED, b"a line\n", b"x" * (4 * LONG + 1), b'{"text": "\xc3\xa9"}\n']),
        st.text(max_size=5).map(str.encode),
    ),
    max_size=12,
).map(b"".join)


def test_a_text_file_that_is_too_long_is_cut_while_it_is_read(tmp_path: Path) -> None:
    sentence = "Eine Zeile über etwas, das dort stand.\n"
    (tmp_path / "a.txt").write_text(sentence * 50_000, encoding="utf-8")
    (part,) = expand([str(tmp_path / "a.txt")])
    options = ReadOptions(max_document_chars=1000)
    tracemalloc.start()
    found = 0
    for one in read(part, options):
        assert isinstance(one, Document)
        assert len(one.text) <= 1000
        record = one.text.encode()
        found += len(record)
        if one.id in (f"a.txt:{one.offset}", f"a.txt:{one.offset}#1"):
            with open(tmp_path / "a.txt", "rb") as file:
                file.seek(one.offset)
                assert file.read(len(record)) == record
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == 50_000 * len(sentence.encode())
    assert peak < 4_000_000  # the file has 2, a block of it 1
    assert brief(read(part, ReadOptions(max_document_chars=1000, encoding="utf-16"))) == [
        (0, "<too_long>")
    ]


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-16", "auto"])
def test_a_file_is_cut_where_its_encoding_can_be(encoding: str) -> None:
    """In GB 18030 the bytes that are "。" in UTF-8 stand within 銆 and 傚; UTF-16 has no ends."""
    text = "她在銆傚厖满阳光的房间里读书。\n" * 50
    data = text.encode("utf-16" if encoding == "auto" else encoding)
    options = ReadOptions(max_document_chars=100, encoding=encoding)
    found = list(read_bytes("a.txt", data, options))
    if encoding in ("gb18030", "utf-8"):
        assert "".join(one.text for one in found if isinstance(one, Document)) == text
    else:
        assert brief(found) == [(0, "<too_long>")]


@settings(deadline=None)
@given(
    form=st.sampled_from(["lines", "jsonl"]),
    data=LINES,
    slice_bytes=st.integers(1, 60),
    block=st.integers(1, 60),
)
def test_slices_hold_what_the_whole_file_holds(
    form: str, data: bytes, slice_bytes: int, block: int
) -> None:
    whole = read_bytes(f"a.{form}", data)
    with mock.patch.object(files, "_BLOCK", block):
        assert read_bytes(f"a.{form}", data, slice_bytes=slice_bytes) == whole


@settings(deadline=None)
@given(data=LINES)
def test_lines_agree_with_splitting_in_memory(data: bytes) -> None:
    offset, expected = 0, []
    for line in data.split(b"\n"):
        for part in line.split(b"\r") if len(line) <= 4 * LONG else [line]:  # as old Macs end lines
            if part.strip():
                (record,) = read_bytes("a.txt", part)
                expected.append((offset, brief([record])[0][1]))
            offset += len(part) + 1
    assert brief(read_bytes("a.lines", data)) == expected


@settings(deadline=None, max_examples=30)
@given(
    rows=st.lists(st.one_of(st.none(), st.text(max_size=9)), min_size=1, max_size=20),
    group=st.integers(1, 7),
    slice_bytes=st.integers(20, 500),
)
def test_slices_of_parquet_hold_every_row_once(
    rows: list[str | None], group: int, slice_bytes: int
) -> None:
    data = parquet({"text": pa.array(rows, pa.string())}, row_group_size=group)
    whole = read_bytes("a.parquet", data)
    assert [record.offset for record in whole] == list(range(len(rows)))
    assert read_bytes("a.parquet", data, slice_bytes=slice_bytes) == whole


@settings(deadline=None)
@given(data=LINES, cuts=st.lists(st.integers(0, 100), max_size=3), feed=st.integers(1, 50))
def test_compression_changes_nothing_but_the_name(data: bytes, cuts: list[int], feed: int) -> None:
    plain = brief(read_bytes("a.lines", data))
    edges = [0, *sorted(cuts), len(data)]
    for suffix, codec in files.CODECS.items():
        packed = b"".join(COMPRESS["." + suffix](data[a:b]) for a, b in pairwise(edges))
        with mock.patch.dict(files.CODECS, {suffix: codec._replace(feed=feed)}):
            assert brief(read_bytes("a.lines." + suffix, packed)) == plain


@settings(deadline=None)
@given(
    suffix=st.sampled_from([".gz", ".zst"]),
    form=st.sampled_from(["lines", "jsonl"]),
    count=st.integers(0, 20),
    keep=st.floats(0, 1, exclude_max=True),
)
def test_cut_short_file_gives_its_first_documents_and_one_reject(
    suffix: str, form: str, count: int, keep: float
) -> None:
    lines = [json_line(f"{number} {zlib.crc32(bytes([number]))}") for number in range(count)]
    packed = COMPRESS[suffix](b"".join(lines))
    *kept, last = brief(read_bytes(f"a.{form}{suffix}", packed[: int(len(packed) * keep)]))
    assert kept == brief(read_bytes(f"a.{form}", b"".join(lines)))[: len(kept)]
    assert last == (sum(map(len, lines[: len(kept)])), "<corrupt_file>")


@settings(deadline=None)
@given(
    name=st.sampled_from(
        [f"a{form.extensions[0]}{suffix}" for form in FORMATS.values() for suffix in COMPRESS]
    ),
    places=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=3)), max_size=3
    ),
)
def test_no_damage_raises(name: str, places: Sequence[tuple[float, bytes]]) -> None:
    _, form, *suffix = name.split(".")
    data = parquet({"text": ["a", "b"] * 9}) if form == "parquet" else b"".join(NUMBERED)
    data = COMPRESS["." + suffix[0] if suffix else ""](data)
    for place, new in places:
        at = int(place * len(data))
        data = data[:at] + new + data[at + len(new) :]
    for record in read_bytes(name, data):
        assert record.source == name
        assert record.offset >= 0


# ---- finding files


def make(folder: Path, *names: str) -> None:
    for size, name in enumerate(names, start=1):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)


def names_of(*patterns: str | Path) -> list[str]:
    return [part.name for part in expand([str(pattern) for pattern in patterns])]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.TXT", ("text", "")),
        ("a.text.gz", ("text", "gz")),
        ("a.md.zst", ("text", "zst")),
        ("a.jsonl", ("jsonl", "")),
        ("a.ndjson.GZ", ("jsonl", "gz")),
        ("a.json", ("jsonl", "")),
        ("a.parquet", ("parquet", "")),
        ("a.b.lines", ("lines", "")),
    ],
)
def test_format_is_known_by_the_name(name: str, expected: tuple[str, str], tmp_path: Path) -> None:
    make(tmp_path, name)
    (part,) = expand([str(tmp_path / name)])
    assert (part.format, part.compression) == expected


def test_format_that_the_name_does_not_tell(tmp_path: Path) -> None:
    for name in ("a.csv", "b", "c.gz", ".zst"):
        make(tmp_path, name)
        with pytest.raises(ConfigError, match=rf"{name}: .*--input_format \(text, .* leave it out"):
            expand([str(tmp_path / name)])
        assert expand([str(tmp_path / name)], "lines")[0].format == "lines"
    assert expand([str(tmp_path / "c.gz")], "jsonl")[0].compression == "gz"
    for name in ("a.jsonl.xz", "b.tar.gz"):
        make(tmp_path, name)
        with pytest.raises(ConfigError, match=rf"{name}: .*pack each file as .gz or .zst"):
            expand([str(tmp_path / name)], "jsonl")
    with pytest.raises(UnknownNameError, match="Did you mean 'jsonl'"):
        expand([str(tmp_path / "b")], "json")


def test_names_do_not_depend_on_where_the_data_lies(tmp_path: Path) -> None:
    for base in (tmp_path / "one", tmp_path / "two/deeper"):
        make(base, "c.txt", "x/a.txt", "x/y/b.txt")
        assert names_of(base / "**") == ["x/y/b.txt", "x/a.txt", "c.txt"]
        assert names_of(base / "x/**") == ["y/b.txt", "a.txt"]
        assert names_of(base / "x/a.txt") == ["a.txt"]
        assert names_of(base / "x/*", base / "c.txt") == ["x/a.txt", "c.txt"]
    assert names_of(tmp_path / "one/c.txt", tmp_path / "two/deeper/c.txt") == [
        "one/c.txt",
        "two/deeper/c.txt",
    ]


def test_a_file_is_read_once_however_often_it_matches(tmp_path: Path) -> None:
    make(tmp_path, "a.txt", "b.txt")
    assert names_of(tmp_path / "*", tmp_path / "a*", tmp_path / "a.txt") == ["b.txt", "a.txt"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**/*.txt", ["a.txt", "one/b.txt", "one/two/c.txt"]),
        ("one/**/*.txt", ["one/b.txt", "one/two/c.txt"]),
        ("**/two/**/*.txt", ["one/two/c.txt"]),
        ("**", ["a.txt", "one/b.txt", "one/two/c.txt"]),
        ("*", ["a.txt"]),
    ],
)
def test_two_stars_are_any_number_of_folders_or_none(
    tmp_path: Path, pattern: str, names: list[str]
):
    for name in ("a.txt", "one/b.txt", "one/two/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("A text.")
    found = match(f"{tmp_path}/{pattern}")
    assert sorted(found) == [f"{tmp_path}/{name}" for name in names]


@pytest.mark.skipif(os.name != "posix", reason="needs file names of any signs")
def test_a_star_is_any_sign_of_a_name_but_a_slash(tmp_path: Path) -> None:
    names = ["a\\b.txt", "c\nd.txt", "e f.txt"]
    make(tmp_path, *names)
    assert sorted(names_of(tmp_path / "*.txt")) == names
    assert sorted(names_of(tmp_path / "[a-e]*.txt")) == names


def test_relative_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.txt", "d/b.txt")
    monkeypatch.chdir(tmp_path)
    assert names_of("*.txt") == names_of("./*.txt") == names_of("a.txt") == ["a.txt"]
    assert names_of("**") == ["d/b.txt", "a.txt"]


def test_a_path_with_glob_signs_is_found_as_it_is(tmp_path: Path) -> None:
    make(tmp_path, "a[1].txt", "a1.txt")
    assert names_of(tmp_path / "a[1].txt") == ["a[1].txt"]


@pytest.mark.skipif(os.name != "posix", reason="needs file names of any bytes")
def test_a_name_that_is_not_utf8_gives_usable_ids(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    try:
        Path(os.fsdecode(path)).write_text("text")
    except OSError:
        pytest.skip("this file system has no such names")
    (document,) = read_path(tmp_path / "*")
    assert document == Document(r"caf\udce9.txt:0", "text", r"caf\udce9.txt", 0)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("nothing*", "no file matches '.*nothing\\*'; for a folder's files give 'folder/\\*'"),
        ("missing.txt", "no file matches '.*missing.txt'"),
        ("d", "'.*/d' is a folder; for the files in it give '.*/d/\\*'"),
        ("d/", "is a folder"),
        ("*", "no file matches"),
        ("[9-0].txt", r"the pattern '.*\[9-0\].txt' is none: bad character range"),
    ],
)
def test_patterns_that_name_no_file(pattern: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(InputError, match=message):
        expand([f"{tmp_path}/{pattern}"])


def test_file_system_that_is_not_installed() -> None:
    for scheme in ("nosuch", "https", "file", "hdfs"):
        told = f"cannot list '{scheme}://a/b'.* expected a path of this machine, s3://BUCKET/…, gs"
        with pytest.raises(InputError, match=told):
            expand([f"{scheme}://a/b"])
    with pytest.raises(InputError, match="no input was given"):
        expand([])


def test_small_inputs_are_cut_for_many_workers(tmp_path: Path) -> None:
    make(tmp_path, "a.jsonl")
    for size, slices in ((1 << 20, 1), (5 << 20, 5), (64 << 20, 32), (2 << 30, 64)):
        os.truncate(tmp_path / "a.jsonl", size)
        assert len(expand([str(tmp_path / "a.jsonl")])) == slices


def test_slices_cover_each_file_and_come_largest_first(tmp_path: Path) -> None:
    make(tmp_path, "a.jsonl", "b.jsonl", "c.txt", "d.jsonl.gz", "e.parquet")
    slices = expand([str(tmp_path / "*")], slice_bytes=2)
    assert [(part.name[0], part.start, part.end, part.size) for part in slices] == [
        ("d", 0, 4, 4),
        ("c", 0, 3, 3),
        ("b", 0, 2, 2),
        ("e", 0, 2, 5),
        ("e", 2, 4, 5),
        ("a", 0, 1, 1),
        ("e", 4, 5, 5),
    ]
    assert estimated_text_bytes(slices) == 3 * 4 + 3 + 2 + 2 * 5 + 1
    for part in slices:
        assert hash(part) is not None


def test_bytes_added_after_listing_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "a.lines"
    path.write_bytes(b"one\n")
    slices = expand([str(path)])
    path.write_bytes(b"one\ntwo\n")
    assert brief(read_slices(slices, OPTIONS)) == [(0, "one"), (4, "two")]


def test_arguments_are_checked() -> None:
    with pytest.raises(ConfigError, match="--max_document_chars must be at least 1, got 0"):
        ReadOptions(max_document_chars=0)


# ---- other file systems


class Elsewhere(LocalFileSystem):  # type: ignore[misc]
    """A file system as Beam plugs them in: ``elsewhere://bucket/path`` is a local path."""

    root = ""

    @classmethod
    def scheme(cls) -> str:
        return "elsewhere"

    def _local(self, path: str) -> str:
        return path.replace("elsewhere://", self.root + "/")

    def _path_open(self, path: str, *args: object, **kwargs: object) -> object:
        return super()._path_open(self._local(path), *args, **kwargs)

    def exists(self, path: str) -> bool:
        return bool(super().exists(self._local(path)))

    def _list(self, folder: str) -> Iterable[object]:
        for file in super()._list(self._local(folder)):
            file.path = file.path.replace(self.root + "/", "elsewhere://")
            yield file


def test_any_file_system_of_beam_is_read_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Elsewhere, "root", str(tmp_path))
    folder = tmp_path / "bucket" / "in"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_bytes(b"".join(NUMBERED))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(NUMBERED[0]))
    (folder / "c.parquet").write_bytes(parquet({"text": ["a", "b"]}, row_group_size=1))
    (folder / r"d\e.jsonl").write_bytes(NUMBERED[1])
    found = {}
    for pattern in (f"{folder}/*", "elsewhere://bucket/in/*"):
        slices = expand([pattern], slice_bytes=30)
        assert all(part.path.startswith(pattern[:-1]) for part in slices)
        found[pattern] = [record for part in slices for record in read(part, OPTIONS)]
    here, there = found.values()
    assert here == there
    assert len(here) == 7
