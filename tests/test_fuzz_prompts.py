"""Broken prompts, cards and states: each gives what was saved, or one line; never a traceback.

``PPT_FUZZ=5000 pytest tests/test_fuzz_prompts.py -s`` mutates that many files of each kind and
tells the counts.
"""

import json
import os
import random
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from ppt.errors import InputError, PPTError
from ppt.prompts.early import EARLY, read_early, save_early
from ppt.prompts.files import (
    CARD,
    CONFIG,
    WEIGHTS,
    load_prompt,
    read_card,
    read_values,
    save_prompt,
)
from ppt.training.folder import check_run
from ppt.training.settings import PretrainConfig
from ppt.training.state import TENSORS, VALUES, State, checkpoints, latest, load_state, save_state
from ppt.transfer.library import choose_prompt, find_prompts
from tests.few import toy_deep
from tests.tiny import save_tiny, tiny

COUNT = int(os.environ.get("PPT_FUZZ", "150"))

VALUES_OF_ALL_KINDS = [
    None, True, -1, 0, 1, 2, 3, 10**400, -(10**18), 1e308, 0.5, float("nan"), float("inf"), "",
    "x" * 5000, "a\x00b", "\ud800", "\x1b[31m", "two\nlines", "~nobody-here/x", "PROMPT_TUNING",
    [], {}, [1], {"a": 1}, [[[]]],
]  # fmt: skip
DTYPES = [
    "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "BF16", "F16", "F64", "I64", "U8", "BOOL", "C64", "X",
]  # fmt: skip
TENSORS_OF_ALL_KINDS = [
    (torch.float64, 1e300), (torch.float64, 1.0), (torch.float32, float("nan")),
    (torch.float32, float("inf")), (torch.float16, 300.0), (torch.bfloat16, 1e38),
    (torch.float8_e4m3fn, 1.0), (torch.int64, 3.0), (torch.uint8, 1.0), (torch.bool, 1.0),
    (torch.complex64, 1.0),
]  # fmt: skip

# --- mutations ----------------------------------------------------------------------------


def places(value, path=()):
    """The path of every value inside a JSON value."""
    yield path
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in keys:
        yield from places(value[key], (*path, key))


def another_value(data, rng):
    whole = json.loads(data)
    path = rng.choice(list(places(whole)))
    new = rng.choice(VALUES_OF_ALL_KINDS)
    if not path:
        return json.dumps(new).encode()
    inside = whole
    for key in path[:-1]:
        inside = inside[key]
    if rng.random() < 0.2:
        del inside[path[-1]]
    else:
        inside[path[-1]] = new
    return json.dumps(whole).encode()


def flipped(data, rng):
    mutated = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(min(len(mutated), rng.choice([8, 120, len(mutated)])))
        mutated[at] ^= 1 << rng.randrange(8)
    return bytes(mutated)


def truncated(data, rng):
    return data[: rng.randrange(len(data))]


def longer(data, rng):
    return data + rng.randbytes(rng.randrange(1, 99))


def deep(data, rng):
    return rng.choice([b"[", b'{"a":']) * 100_000


def another_encoding(data, rng):
    return data.decode().encode(rng.choice(["utf-16", "utf-8-sig", "utf-32"]))


def many_digits(data, rng):
    return data.replace(b"4", b"9" * rng.choice([20, 400, 5000]), 1)


def another_header(data, rng):
    """Safetensors with another dtype, shape, offsets or name in their header."""
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    entry = header[rng.choice([name for name in header if name != "__metadata__"])]
    change = rng.choice(["dtype", "shape", "data_offsets", "name"])
    if change == "dtype":
        entry["dtype"] = rng.choice(DTYPES)
    elif change == "name":
        header[rng.choice(["", "a\nb", "\x1b[31m", "prompt_embeddings"])] = entry
    else:
        numbers = [0, 1, 4, 8, -1, 2**40, 2**63]
        entry[change] = [rng.choice(numbers) for _ in range(rng.randrange(4))]
    new = json.dumps(header).encode()
    return struct.pack("<Q", len(new)) + new + data[8 + size :]


def another_tensor(data, rng):
    """A well-made file of the right name with values that are no prompt."""
    shape = rng.choice([(4, 8), (4, 8), (0, 8), (4, 0), (8, 8), (5, 8), (4,), (), (1, 4, 8)])
    kind, value = rng.choice(TENSORS_OF_ALL_KINDS)
    return save({"prompt_embeddings": torch.full(shape, value, dtype=torch.float64).to(kind)})


BYTES = [flipped, truncated, longer]
JSON = [another_value, another_value, another_value, deep, another_encoding, many_digits, *BYTES]
BINARY = [another_header, another_tensor, *BYTES]


# --- prompts ------------------------------------------------------------------------------


def saved_prompt(folder):
    prompt = torch.arange(32.0).view(4, 8)
    card = {"format": "sentiment", "style": "soft", "backbone": "tiny", "step": 4}
    save_prompt(folder, prompt, kind="causal", model="tiny", card=card)
    return folder


def use(folder):
    """All that is done with a prompt on disk."""
    prompt = load_prompt(folder)
    values = prompt.values(hidden_size=8, kind="causal")
    assert values.shape[1] == 8
    assert len(values) > 0
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    assert len(prompt.digest) == 64
    choose_prompt(find_prompts([str(folder)]), "sentiment", "soft", "tiny", "ppt")


def outcome(call):
    """Whether `call` went well, or what one line it raised."""
    try:
        call()
    except PPTError as error:
        line = str(error)
        assert "\n" not in line, line
        assert "\x1b" not in line, line
        assert len(line) < 1500, line
        return line
    return None


def tell(name, outcomes):
    refused = sum(line is not None for line in outcomes)
    print(f"\n{name}: {len(outcomes)} mutated files, {refused} refused, 0 tracebacks")
    return refused


@pytest.mark.promise("prompt")
@pytest.mark.parametrize(
    ("name", "mutations"),
    [(CONFIG, JSON), (CARD, JSON), (WEIGHTS, BINARY)],
    ids=["config", "card", "weights"],
)
def test_a_mutated_prompt_is_a_prompt_or_one_line(name, mutations, tmp_path, cases):
    cases(COUNT)
    folder = saved_prompt(tmp_path)
    whole, outcomes = (folder / name).read_bytes(), []
    for seed in range(COUNT):
        rng = random.Random(seed)
        (folder / name).write_bytes(rng.choice(mutations)(whole, rng))
        outcomes.append(outcome(lambda: use(folder)))
    assert tell(name, outcomes) > COUNT // 5
    (folder / name).write_bytes(whole)
    assert outcome(lambda: use(folder)) is None


# --- states -------------------------------------------------------------------------------


def saved_state(folder):
    tensors = {"prompt.values": torch.ones(4, 8), "rng.cpu": torch.get_rng_state()}
    values = {
        "step": 4,
        "identity": {"corpus": "a"},
        "order": {"epoch": 0},
        "history": [{"loss": 0.5, "by_options": {1: 0.1, 10: float("nan")}}],
        "optimizer": {"optimizer.0.step": 4},
        "metrics_bytes": 12,
    }
    return save_state(folder, State(tensors, values), keep=2)


@pytest.mark.promise("prompt")
@pytest.mark.parametrize(
    ("name", "mutations"), [(VALUES, JSON), (TENSORS, BINARY)], ids=["values", "tensors"]
)
def test_a_mutated_state_is_the_state_or_one_line(name, mutations, tmp_path, cases):
    cases(COUNT)
    path = saved_state(tmp_path)
    whole, outcomes = (path / name).read_bytes(), []
    kept = load_state(path)

    def read():
        state = load_state(path)
        assert json.dumps(state.values) == json.dumps(kept.values)
        assert state.tensors.keys() == kept.tensors.keys()
        for key, tensor in kept.tensors.items():
            assert torch.equal(state.tensors[key], tensor)

    for seed in range(COUNT):
        rng = random.Random(seed)
        (path / name).write_bytes(rng.choice(mutations)(whole, rng))
        outcomes.append(outcome(read))
    assert tell(name, outcomes) > COUNT // 2
    (path / name).write_bytes(whole)
    assert outcome(read) is None


def test_a_state_whose_number_was_changed_is_not_gone_on_from(tmp_path):
    path = saved_state(tmp_path)
    text = (path / VALUES).read_text()
    (path / VALUES).write_text(text.replace('"step": 4', '"step": 5'))
    with pytest.raises(InputError, match=r"not as it was written.*remove that folder"):
        load_state(path)
    (path / VALUES).write_text(text.replace('"version": 4', '"version": 2'))
    with pytest.raises(InputError, match="state version 2, this program reads 4"):
        load_state(path)


def test_a_file_with_the_name_of_a_state_is_none(tmp_path):
    path = saved_state(tmp_path)
    (tmp_path / "checkpoint-9").write_text("")
    assert checkpoints(tmp_path) == [path]
    assert latest(tmp_path) == path


# --- places -------------------------------------------------------------------------------


PLACES = {
    "long": "x" * 300,
    "longer": "/".join(["y" * 200] * 40),
    "null": "a\0b",
    "nowhere": "nowhere",
    "home": "~nobody-here/x",
}
READERS = {
    "prompt": load_prompt,
    "values": read_values,
    "card": read_card,
    "state": lambda place: load_state(Path(place)),
    "prompts": lambda place: find_prompts([place]),
    "run": lambda place: check_run(
        Path("none"), PretrainConfig(format="unified", resume_from_checkpoint=place)
    ),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_place_that_is_none_is_one_line(read, place):
    if read is read_card and outcome(lambda: read(place)) is None:
        assert read(place) == {}  # a prompt without a card
    else:
        assert outcome(lambda: read(place))


@pytest.mark.parametrize("make", [lambda file: file.mkdir(), os.mkfifo], ids=["folder", "pipe"])
@pytest.mark.parametrize("name", [CONFIG, CARD, WEIGHTS])
def test_what_is_no_file_is_one_line(name, make, tmp_path):
    folder = saved_prompt(tmp_path)
    (folder / name).unlink()
    make(folder / name)
    assert "no file" in outcome(lambda: load_prompt(folder))


@pytest.mark.parametrize("name", [VALUES, TENSORS])
def test_a_state_with_a_pipe_in_it_is_one_line(name, tmp_path):
    path = saved_state(tmp_path)
    (path / name).unlink()
    os.mkfifo(path / name)
    assert "no file" in outcome(lambda: load_state(path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("read", [load_prompt, lambda folder: find_prompts([folder.parent])])
def test_a_folder_that_may_not_be_read_is_one_line(read, tmp_path):
    folder = saved_prompt(tmp_path / "prompt")
    folder.chmod(0)
    try:
        assert "cannot read" in outcome(lambda: read(folder))
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        (CONFIG, '"num_virtual_tokens": 4', '"num_virtual_tokens": -4', "-4, expected a whole"),
        (
            CONFIG,
            '"num_virtual_tokens": 4',
            '"num_virtual_tokens": 2',
            r"\[4, \d+\], expected \[2, H\]",
        ),
        (CONFIG, '"num_virtual_tokens": 4', '"num_virtual_tokens": "4"', "'4', expected a whole"),
        (CONFIG, '"num_virtual_tokens": 4', '"num_virtual_tokens": true', "True, expected a whole"),
        (CONFIG, '"num_virtual_tokens": 4', '"num_virtual_tokens": 4.0', "4.0, expected a whole"),
        (CONFIG, '"PROMPT_TUNING"', "[]", r"has peft_type \[\], expected PROMPT_TUNING"),
        (CARD, '"format": "sentiment"', '"format": ["sentiment"]', "has format .*expected text"),
        (CARD, '"style": "soft"', '"style": "so\\nft"', r"has style 'so\\nft', expected text"),
        (CARD, '"hidden_size": 8', '"hidden_size": "8"', "expected a whole number"),
    ],
)
def test_fields_of_the_wrong_kind_are_named(name, old, new, says, tmp_path):
    folder = saved_prompt(tmp_path)
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    with pytest.raises(InputError, match=says):
        load_prompt(folder)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (torch.ones(4, 8).to(torch.float8_e4m3fn), "float8_e4m3fn, expected floats of 16 bits"),
        (torch.ones(4, 8).long(), "int64, expected floats"),
        (torch.full((4, 8), 1e300, dtype=torch.float64), "NaN or infinite"),
        (torch.ones(4, 0), r"shape \[4, 0\]"),
        (torch.ones(0, 8), r"shape \[0, 8\]"),
        (torch.ones(4), r"shape \[4\]"),
    ],
)
def test_values_that_are_no_prompt_are_refused(values, says, tmp_path):
    folder = saved_prompt(tmp_path)
    (folder / WEIGHTS).write_bytes(save({"prompt_embeddings": values}))
    with pytest.raises(InputError, match=says):
        read_values(folder)


# --- prompts of other shapes ----------------------------------------------------------------


@pytest.mark.promise("prompt")
def test_a_mutated_early_prompt_is_one_or_one_line(tmp_path, cases):
    cases(COUNT)
    file = tmp_path / EARLY
    save_early(file, 4, torch.ones(4, 8), torch.arange(32.0).view(4, 8))
    whole, outcomes = file.read_bytes(), []

    def read():
        found = read_early(file)
        assert found is None or (found.value.ndim == 2 and found.value.isfinite().all())

    for seed in range(COUNT):
        rng = random.Random(seed)
        file.write_bytes(rng.choice(BINARY)(whole, rng))
        outcomes.append(outcome(read))
    assert tell(EARLY, outcomes) > COUNT // 5
    file.write_bytes(whole)
    assert outcome(read) is None


@pytest.mark.promise("prompt")
@pytest.mark.parametrize(("name", "mutations"), [(CONFIG, JSON), (CARD, JSON), (WEIGHTS, BINARY)])
def test_a_mutated_deep_prompt_is_a_prompt_or_one_line(name, mutations, tmp_path, cases):
    cases(COUNT)
    save_tiny(tmp_path / "llama")
    folder, deep = tmp_path / "prompt", tiny("llama").deep
    toy_deep(folder, tmp_path / "llama", "soft")
    whole, outcomes = (folder / name).read_bytes(), []

    def read():
        values = load_prompt(folder).values(kind="causal", deep=deep)
        assert values.shape == (len(values), deep.width)
        assert values.isfinite().all()
        find_prompts([str(folder)])

    for seed in range(COUNT):
        rng = random.Random(seed)
        (folder / name).write_bytes(rng.choice(mutations)(whole, rng))
        outcomes.append(outcome(read))
    assert tell(name, outcomes) > COUNT // 5
    (folder / name).write_bytes(whole)
    assert outcome(read) is None
