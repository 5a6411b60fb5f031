"""Adapting a model to raw documents, from files to the folder that transformers loads."""

import errno
import gzip
import io
import json
import math
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import zstandard
from peft import PeftModel
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

import ppt
import ppt.backbones.base as base
from ppt.adapt import main
from ppt.backbones.fresh import pieces
from ppt.backbones.loading import as_backbone, load_backbone
from ppt.base.files import writing
from ppt.base.text import document_key, document_number, in_parts, normalise
from ppt.corpus.records import Reject
from ppt.errors import ConfigError, InputError, OutputError
from ppt.pretrain import main as pretrain
from ppt.prompts.encoder import Encoder, sentinel_ids
from ppt.prompts.files import load_prompt
from ppt.prompts.spans import next_tokens
from ppt.tasks.documents import documents, find_documents
from ppt.training.adaptation import AdaptConfig
from ppt.training.language import LanguageWindows, batch_of, cut_for
from ppt.training.loop import Loop
from ppt.training.processes import Processes
from ppt.training.trainables import PromptBank
from ppt.training.windows import HELD_OUT, TRAIN, Reading, Windows, write_windows
from tests.tiny import save_tiny, tiny, tiny_model, tiny_prompt, tiny_tokenizer
from tests.toys import settings

TEXTS = [f"Day {i}: it rained on the {word} road, and we ran home." for i in range(24)
         for word in ("long", "high", "old")]  # fmt: skip


def lines(texts):
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapt")
    (folder / "docs").mkdir()
    (folder / "docs" / "a.jsonl").write_bytes(lines(TEXTS[:40]))
    (folder / "docs" / "b.jsonl.gz").write_bytes(gzip.compress(lines(TEXTS[40:])))
    save_tiny(folder / "llama", initializer_range=0.1)
    save_tiny(folder / "t5", "t5", relative_attention_max_distance=64)
    return folder


def flags(place, output, *more, **changes):
    usual = {
        "objective": "lm", "corpus": f"{place}/docs/*", "model": place / "llama",
        "output_dir": output, "max_length": 24, "max_steps": 12, "eval_steps": 6,
        "save_steps": 5, "held_out": 0.1, "max_eval_examples": 8, "learning_rate": 0.003,
        "device": "cpu", "threads": 1, "tensorboard": "false",
    }  # fmt: skip
    changed = {**usual, **changes}
    return [*(f"--{k}={v}" for k, v in changed.items() if v is not None), *more]


def fails(capsys, argv, command=main):
    assert command([str(one) for one in argv]) == 2
    (line,) = capsys.readouterr().err.strip().split("\n")
    return line


# ---- scores of tokens


def windows(rows=3, length=30, seed=0):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(10, 260, (rows, length), generator=generator)
    return [row.astype(np.int32) for row in drawn.numpy()]


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "mixtral", "lfm2"])
@pytest.mark.parametrize("length", [0, 5])
def test_tokens_are_as_likely_as_the_model_itself_has_it(family, length):
    backbone = tiny(family)
    rows = windows()
    prompt = tiny_prompt(backbone, length).detach() if length else None
    batch = batch_of([next_tokens(row[: 30 - 4 * i]) for i, row in enumerate(rows)], 0)
    found, right = backbone.token_scores(prompt, batch)
    for i, row in enumerate(rows):
        ids = torch.from_numpy(row[: 30 - 4 * i].astype(np.int64))
        embeds = backbone._embed(ids)
        whole = embeds if prompt is None else torch.cat([prompt, embeds])
        logits = backbone.model(inputs_embeds=whole[None], use_cache=False).logits[0, length:-1]
        expected = -functional.cross_entropy(logits.float(), ids[1:], reduction="none")
        assert torch.allclose(found[i, : len(expected)], expected, atol=2e-3, rtol=1e-3)
        assert torch.equal(right[i, : len(expected)], logits.argmax(-1) == ids[1:])
        assert not found[i, len(expected) :].any()
        assert not right[i, len(expected) :].any()


@pytest.mark.parametrize("family", ["t5", "t5_v1_1"])
@pytest.mark.parametrize("said", [4, 25])
def test_an_encoder_decoder_says_what_its_own_loss_is_of(family, said):
    backbone = tiny(family, relative_attention_max_distance=64)
    backbone.aim_at("word")
    pairs = [(row[: 20 - i], row[20 : 20 + said - i]) for i, row in enumerate(windows(3, 50))]
    batch = batch_of(pairs, 0)
    found, _ = backbone.token_scores(None, batch)
    words = batch.words
    real = torch.arange(said) < words.lengths
    labels = words.ids[:, 0].masked_fill(~real, -100)
    own = backbone.model(batch.input_ids, batch.attention_mask, labels=labels).loss
    assert float(-found.sum() / real.sum()) == pytest.approx(float(own), rel=1e-5)


def test_the_head_in_parts_gives_the_same_and_its_gradient(monkeypatch):
    backbone = tiny("llama")
    batch = batch_of([next_tokens(row) for row in windows()], 0)
    made = []
    for most in (base.LOGITS_AT_ONCE, 1):
        monkeypatch.setattr(base, "LOGITS_AT_ONCE", most)
        prompt = tiny_prompt(backbone)
        found, right = backbone.token_scores(prompt, batch)
        found.sum().backward()
        made.append((found.detach(), right, prompt.grad))
    for one, other in zip(*made, strict=True):
        assert torch.allclose(one.float(), other.float(), atol=1e-4)


# ---- documents and windows


def test_every_record_is_a_document_or_a_reject_with_its_reason(tmp_path):
    good = lines(["one", "two"])
    (tmp_path / "a.jsonl").write_bytes(
        good + b'{"text": 5}\n{"body": "x"}\n[1]\nno json\n\n{"text": " "}\n\xff\n'
        b'{"text": "a\\u0000"}\n{"text": "\\ud800"}\n{"text": "x", "text": "y"}\n'
        + lines(["three"])
    )
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(good * 400)[:-9])
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(good))
    (tmp_path / "d.txt").write_text("a book\n\nof two paragraphs")
    pq.write_table(pa.table({"text": ["row", None]}), tmp_path / "e.parquet")
    pq.write_table(pa.table({"body": ["row"]}), tmp_path / "f.parquet")
    (tmp_path / "g.parquet").write_bytes(b"PAR1 nothing")
    (tmp_path / "h.lines").write_bytes(b"four\rfive\r\r\n")  # an old Mac's
    rejects: list[Reject] = []
    paths = find_documents(f"{tmp_path}/*.*")
    texts = list(documents(paths, "text", rejects.append))
    reasons = sorted((one.source, one.reason) for one in rejects)
    assert reasons == [
        ("a.jsonl", "blank"), *[("a.jsonl", "invalid_json")] * 2, ("a.jsonl", "invalid_utf8"),
        ("a.jsonl", "lone_surrogate"), ("a.jsonl", "missing_field"), ("a.jsonl", "not_a_string"),
        ("a.jsonl", "not_an_object"), ("a.jsonl", "nul_bytes"), ("b.jsonl.gz", "corrupt_file"),
        ("e.parquet", "missing_field"), ("f.parquet", "missing_field"),
        ("g.parquet", "corrupt_file"),
    ]  # fmt: skip
    places = {one.reason: one.offset for one in rejects if one.source == "a.jsonl"}
    assert places["not_a_string"] == len(good)
    ours = [text for text in texts if text not in ("one", "two")]
    assert sorted(ours) == ["a book\n\nof two paragraphs", "five", "four", "row", "three"]
    assert texts.count("one") > 2  # what stood before the damage is kept


def test_files_take_turns_wherever_they_lie(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        for name in ("a", "b", "c"):
            texts = [f"{name}{i}" for i in range(3)]
            (tmp_path / folder / f"{name}.jsonl").write_bytes(lines(texts))
    read = [list(documents(find_documents(f"{tmp_path}/{folder}/*"), "text", print))
            for folder in ("x", "y")]  # fmt: skip
    assert read[0] == read[1]
    assert {text[0] for text in read[0][:3]} == {"a", "b", "c"}
    assert [text for text in read[0] if text[0] == "a"] == ["a0", "a1", "a2"]


def packed(place, folder, length=24, limits=None, **changes):
    config = AdaptConfig(
        objective="lm", corpus=f"{place}/docs/*", output_dir="x", held_out=0.1, **changes
    )
    folder.mkdir()
    reading = Reading(config.corpus, config)
    limits = limits or {TRAIN: 10**6, HELD_OUT: 10**6}
    write_windows(folder, reading, Encoder.of(tiny_tokenizer()), length, limits)
    return Windows.of(folder, length)


def test_windows_hold_all_documents_in_one_row(place, tmp_path):
    made, tokenizer = packed(place, tmp_path / "tokens"), tiny_tokenizer()
    counts = made.facts["documents"]
    assert counts[TRAIN] + counts[HELD_OUT] == len(TEXTS)
    texts = []
    for split, rows in ((TRAIN, made.train), (HELD_OUT, made.held_out)):
        ids = rows.reshape(-1).tolist()
        parts = "".join(tokenizer.decode(ids)).split("</s>")
        whole, rest = parts[:-1], parts[-1]
        assert rows.size + made.facts["tokens left over"][split] == sum(
            len(tokenizer(text).input_ids) + 1 for text in TEXTS if is_in(split, text)
        )
        assert any(text.startswith(rest) for text in TEXTS)
        texts += whole
    assert set(texts) <= set(TEXTS)
    assert len(set(texts)) == len(texts) >= len(TEXTS) - 4


def is_in(split, text):
    is_out = document_number(document_key(normalise(text))) < 0.1 * 2**64
    return is_out == (split == HELD_OUT)


def test_what_is_read_is_trained_on_held_out_or_rejected(tmp_path):
    (tmp_path / "docs").mkdir()
    bad = b'{"text": 5}\nno json\n'
    (tmp_path / "docs" / "a.jsonl").write_bytes(lines(TEXTS) + bad)
    made = packed(tmp_path, tmp_path / "tokens")
    counts = made.facts["documents"]
    assert sum(counts.values()) == len(TEXTS) + 2
    assert (counts["not_a_string"], counts["invalid_json"]) == (1, 1)
    kept = (tmp_path / "tokens" / "rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["reason"] for line in kept] == ["not_a_string", "invalid_json"]
    assert "none rejected" not in made.told()["documents"]


def test_no_more_is_read_than_steps_need(place, tmp_path):
    made = packed(place, tmp_path / "tokens", limits={TRAIN: 7, HELD_OUT: 2})
    assert (len(made.train), len(made.held_out)) == (7, 2)


def test_documents_of_the_eval_corpus_are_not_trained_on(place, tmp_path):
    (tmp_path / "own.jsonl").write_bytes(lines([*TEXTS[:3], "something else altogether, long"]))
    made = packed(place, tmp_path / "tokens", eval_corpus=str(tmp_path / "own.jsonl"))
    counts = made.facts["documents"]
    assert counts == {HELD_OUT: 4, "held out from training": 3, TRAIN: len(TEXTS) - 3}


# ---- the command


def test_adapted_weights_are_what_transformers_loads(place, tmp_path, capsys):
    assert main(flags(place, tmp_path / "run")) == 0
    run = tmp_path / "run"
    result = json.loads((run / "result.json").read_text())
    assert result["best"]["loss"] < result["first"]["loss"] - 0.5
    for name in ("model", "metrics.jsonl", "loss.png", "config.json", "rejects.jsonl"):
        assert (run / name).exists()
    assert not (run / "tokens").exists()
    model = AutoModelForCausalLM.from_pretrained(run / "model").eval()
    assert AutoTokenizer.from_pretrained(run / "model")("rain").input_ids
    held_out = packed(place, tmp_path / "tokens").held_out[:8]
    with torch.no_grad():
        ids = torch.from_numpy(np.array(held_out, np.int64))
        loss = float(model(ids, labels=ids).loss)
    assert loss == pytest.approx(result["best"]["loss"], abs=1e-3)
    assert "perplexity" in capsys.readouterr().out
    card = (run / "README.md").read_text()
    assert "AutoModelForCausalLM" in card
    assert "| perplexity |" in card
    assert "72 read" in card


def test_low_rank_weights_are_an_adapter_or_merged(place, tmp_path):
    for name, more in (("apart", []), ("merged", ["--merge"])):
        argv = flags(place, tmp_path / name, "--trains=lora", *more, learning_rate=0.02)
        assert main(argv) == 0
    own = AutoModelForCausalLM.from_pretrained(place / "llama")
    ids = torch.arange(10, 40)[None]
    before = own(ids).logits
    apart = PeftModel.from_pretrained(own, tmp_path / "apart" / "adapter")(ids).logits
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged" / "model")(ids).logits
    assert torch.allclose(apart, merged, atol=1e-4)
    named = json.loads((tmp_path / "apart/adapter/adapter_config.json").read_text())
    linear = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert named["target_modules"] == sorted(linear)
    assert not torch.allclose(before, merged, atol=1e-2)
    assert not (tmp_path / "apart" / "model").exists()


NEW = {"model_type": "t5", "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}


@pytest.mark.parametrize("objective", ["span_corruption", "lm"])
def test_a_small_t5_from_nothing(place, tmp_path, objective):
    (tmp_path / "t5.json").write_text(json.dumps(NEW))
    argv = flags(
        place, tmp_path / "run", model=None, config=tmp_path / "t5.json", train_tokenizer=420,
        objective=objective,
    )  # fmt: skip
    assert main(argv) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["best"]["loss"] < result["first"]["loss"] - 0.3
    assert result["first"]["loss"] == pytest.approx(math.log(420), abs=1.5)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "model")
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "run" / "model")
    assert len(tokenizer) == model.config.vocab_size == 420
    ids = tokenizer("Ünd <extra_id_0> the road 5").input_ids
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(ids[:-1]) == "Ünd <extra_id_0> the road 5"
    backbone = load_backbone(str(tmp_path / "run"), device="cpu", target="word")
    assert backbone.layout == "word"


def test_equal_seeds_make_equal_models_and_tokenizers(place, tmp_path):
    (tmp_path / "t5.json").write_text(json.dumps(NEW))
    for name in ("one", "two"):
        argv = flags(
            place, tmp_path / name, model=None, config=tmp_path / "t5.json", train_tokenizer=420,
            max_steps=2,
        )  # fmt: skip
        assert main(argv) == 0
    for file in ("model.safetensors", "tokenizer.json"):
        one, two = ((tmp_path / name / "model" / file).read_bytes() for name in ("one", "two"))
        assert one == two


def test_a_prompt_for_language_modelling(place, tmp_path):
    run = tmp_path / "lm"
    argv = flags(place, run, format="lm", objective=None, prompt_length=4, learning_rate=0.05)
    assert pretrain(argv) == 0
    prompt = load_prompt(run)
    assert prompt.values().shape == (4, 32)
    assert prompt.card["format"] == "lm"
    assert prompt.card["best"]["loss"] < prompt.card["first"]["loss"]
    assert "label words" not in (run / "README.md").read_text()
    assert not (run / "tokens").exists()


@pytest.mark.parametrize("target", ["cloze", "word"])
def test_language_modelling_leaves_a_backbone_as_it_was_aimed(place, target):
    backbone = load_backbone(str(place / "t5"), device="cpu", target=target)
    losses = []
    for _ in range(2):
        made = ppt.train_prompt(
            f"{place}/docs/*", backbone, format="lm", max_length=24, max_steps=1, prompt_length=3,
            max_eval_examples=4,
        )  # fmt: skip
        losses.append(made.first.loss)
        assert backbone.layout == target
    assert losses[0] == losses[1]


def test_no_room_for_scratch_files_is_one_line(place, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ppt.training.windows.write_windows", full)
    backbone = load_backbone(str(place / "llama"), device="cpu")
    with pytest.raises(OutputError, match=r"tokens to scratch files: No space left on .* TMPDIR"):
        ppt.train_prompt(f"{place}/docs/*", backbone, format="lm", max_length=24, prompt_length=3)


def test_tokens_that_the_model_does_not_know_are_refused(place):
    known = tiny_tokenizer()
    known.add_special_tokens({"eos_token": "<|end|>"})
    backbone = as_backbone(tiny_model("llama", vocab_size=261), known, "small")
    with pytest.raises(ConfigError, match=r"documents end with .*<\|end\|>.* only 261"):
        cut_for(backbone, "lm", 24)
    more = [f"<extra_id_{number}>" for number in range(100)]
    known = tiny_tokenizer()
    known.add_special_tokens({"additional_special_tokens": more})
    backbone = as_backbone(tiny_model("t5"), known, "small")
    _, target = cut_for(backbone, "span_corruption", 100)(windows(1, 100)[0], 7)
    assert [one for one in target if one in (3, 4, *range(261, 272))] == [3, 4, *range(261, 265)]
    with pytest.raises(ConfigError, match="has 13 that the model knows: lower --max_length"):
        cut_for(backbone, "span_corruption", 300)


class OneOfTwo(Processes):
    """A process of two, whose sums the test adds up itself."""

    world = 2

    def __init__(self, rank):
        self.rank = rank


@pytest.mark.parametrize(("family", "objective"), [("llama", "lm"), ("t5", "span_corruption")])
def test_two_processes_add_up_to_one(place, tmp_path, family, objective):
    made = packed(place, tmp_path / "tokens")
    backbone = tiny(family, relative_attention_max_distance=64) if family == "t5" else tiny(family)
    if family == "t5":
        backbone.aim_at("word")
    prompt = tiny_prompt(backbone, 3).detach()
    grads, sums = [], []
    for size, turns, processes in (
        (8, 1, [Processes()]), (2, 2, [OneOfTwo(0), OneOfTwo(1)]),
    ):  # fmt: skip
        config = settings(per_device_train_batch_size=size, gradient_accumulation_steps=turns)
        parts = []
        for one in processes:
            bank = PromptBank(backbone, [prompt])
            found = LanguageWindows(bank, made, objective, config.resolved(), one).step([0])
            parts.append((bank.parameters(0)[0].grad, found.sums))
        assert found.rows == found.weights
        grads.append(sum(grad for grad, _ in parts))
        sums.append(sum(own for _, own in parts))
    assert torch.allclose(*grads, atol=1e-5)
    assert torch.allclose(*sums, rtol=1e-5)


def test_a_cut_for_every_kind_of_backbone():
    for family, objective in (("llama", "lm"), ("t5", "lm"), ("t5", "span_corruption")):
        backbone = tiny(family)
        encoder = Encoder.of(backbone.tokenizer)
        text, target = cut_for(backbone, objective, 24)(windows(1, 24)[0], 7)
        sentinels = len({*target.tolist()} & {*sentinel_ids(backbone.tokenizer)})
        assert sentinels == (2 if objective == "span_corruption" else 0)
        expected = 24 + 3 * (sentinels > 0)
        if family == "t5":
            expected += len(encoder.start) + len(encoder.end) * (1 + (sentinels > 0))
        assert len(text) + len(target) == expected


WRONG = [
    ({"objective": "span_corruption"}, "is for encoder-decoders"),
    ({"objective": "span_corruption", "model": "T5", "max_length": 60}, "lower --max_length"),
    ({"corpus": "nosuch/*.txt"}, "no file matches 'nosuch/*.txt'"),
    ({"max_length": 65}, "lower --max_length"),
    ({"held_out": 0.0001}, "another --held_out"),
    ({"config": "x.json"}, "give both, or neither"),
    ({"merge": "true"}, "give --trains=lora too"),
    ({"text_field": "body"}, "0 documents"),
    ({"model": None, "config": "nosuch.json", "train_tokenizer": 420}, "nosuch.json"),
]


@pytest.mark.parametrize(("changes", "told"), WRONG)
def test_what_is_wrong_is_one_line_and_leaves_nothing(place, tmp_path, capsys, changes, told):
    if changes.get("model") == "T5":
        changes = {**changes, "model": place / "t5"}
    assert told in fails(capsys, flags(place, tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


def test_lm_prompts_need_documents(place, tmp_path, capsys):
    line = fails(capsys, ["--format=lm", f"--output_dir={tmp_path / 'x'}"], pretrain)
    assert "--corpus=" in line
    for more in (["--format=lm", "--style=hybrid"], ["--format=unified", "--eval_corpus=x"]):
        assert "leave out what --format" in fails(capsys, [*more, "--corpus=x"], pretrain)


def test_a_finished_run_is_refused(place, tmp_path, capsys):
    argv = flags(place, tmp_path / "run", max_steps=2)
    assert main(argv) == 0
    capsys.readouterr()
    assert "is finished" in fails(capsys, argv)


def test_text_of_any_key(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"body": "x"}\n')
    assert list(documents(find_documents(f"{tmp_path}/a.jsonl"), "body", print)) == ["x"]
    (tmp_path / "a.doc").touch()
    with pytest.raises(InputError, match="read by nobody"):
        find_documents(f"{tmp_path}/a.doc")


def test_what_is_read_and_said_has_a_row_each():
    batch = batch_of([(np.array([5, 6]), np.array([7])), (np.array([8]), np.array([9, 10]))], 3)
    assert batch.input_ids.tolist() == [[5, 6], [8, 3]]
    assert batch.attention_mask.tolist() == [[1, 1], [1, 0]]
    assert batch.words.ids.tolist() == [[[7, 3]], [[9, 10]]]
    assert batch.words.lengths.tolist() == [[1], [2]]
    assert batch.allowed.all()


# ---- what goes on, and what is messy


class StoppedError(Exception):
    """Ends a run as a kill would."""


def stopped(monkeypatch, argv, at, command=main):
    real = Loop._step

    def step(self, *rest):
        if self.step == at:
            raise StoppedError
        return real(self, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Loop, "_step", step)
        with pytest.raises(StoppedError):
            command(argv)


def test_a_run_that_begins_anew_trains_its_own_tokenizer(place, tmp_path, monkeypatch):
    (tmp_path / "t5.json").write_text(json.dumps(NEW))
    new = {"model": None, "config": tmp_path / "t5.json", "max_steps": 2}
    stopped(monkeypatch, flags(place, tmp_path / "run", **new, train_tokenizer=420), 1)
    assert main(flags(place, tmp_path / "run", **new, train_tokenizer=400)) == 0
    assert len(AutoTokenizer.from_pretrained(tmp_path / "run" / "model")) == 400


def test_tokens_and_model_must_be_those_of_the_state(place, tmp_path, monkeypatch, capsys):
    model, run = save_tiny(tmp_path / "m", initializer_range=0.1), tmp_path / "run"
    argv = flags(place, run, "--trains=lora", model=model)
    stopped(monkeypatch, argv, 7)
    whole = (run / "tokens" / "train").read_bytes()
    for broken in (whole[:-3], bytes(4) + whole[4:], b""):
        (run / "tokens" / "train").write_bytes(broken)
        capsys.readouterr()
        assert "are not as they were written" in fails(capsys, argv)
    (run / "tokens" / "train").write_bytes(whole)
    save_tiny(tmp_path / "m", initializer_range=0.1, num_hidden_layers=2)
    capsys.readouterr()
    assert "was made with model" in fails(capsys, argv)


def test_a_run_refuses_to_remove_what_it_reads(place, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(flags(place, run, max_steps=2)) == 0
    capsys.readouterr()
    assert "--model" in fails(capsys, flags(place, run, "--overwrite_output_dir", model=run))
    argv = flags(place, run, "--overwrite_output_dir", corpus=f"{run}/*.jsonl")
    assert "metrics.jsonl is in --output_dir" in fails(capsys, argv)
    assert (run / "model").is_dir()


def test_rows_of_parquet_are_told_apart(tmp_path):
    bad = pa.array([b"good", b"\xff", b"after"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, bad.buffers())
    for values, good, told in (
        (text, ["good", "after"], [("invalid_utf8", 1, 1)]),
        (pa.array([2**62, 1], pa.timestamp("us")), [], [("not_a_string", 0, 2)]),
    ):
        data = io.BytesIO()
        pq.write_table(pa.table({"text": values}), data)
        for name, made in (("a.parquet", bytes), ("a.parquet.gz", gzip.compress)):
            (tmp_path / name).write_bytes(made(data.getvalue()))
            rejects: list[Reject] = []
            found = list(documents(find_documents(f"{tmp_path}/{name}"), "text", rejects.append))
            assert found == good
            assert [(one.reason, one.offset, one.records) for one in rejects] == told


def test_documents_beyond_the_last_window_are_not_needed(place, tmp_path):
    made = packed(place, tmp_path / "tokens", limits={TRAIN: 2, HELD_OUT: 2})
    counts = made.facts["documents"]
    assert counts[TRAIN] <= 2 * 24
    assert sum(counts.values()) == len(TEXTS)
    assert counts["not needed"] > len(TEXTS) // 2


def test_a_long_word_takes_a_tokenizer_no_hours():
    text = "ab" * 60_000
    parts = list(pieces(f"{text} end"))
    assert "".join(parts) == f"{text} end"
    assert max(map(len, parts)) == 256
    assert list(pieces(TEXTS[0])) == [TEXTS[0]]


def test_a_long_document_is_encoded_in_parts():
    words = "one two  three fourteen"
    assert list(in_parts(words, 9)) == ["one two ", " three", " fourteen"]
    assert list(in_parts("a" * 20, 8)) == ["a" * 8, "a" * 8, "a" * 4]


def test_a_full_disk_is_told_whoever_writes():
    full = RuntimeError("I/O error: No space left on device (os error 28)")
    with pytest.raises(OutputError, match=r"cannot write x: .*No space left"), writing("x", "y"):
        raise full
    with pytest.raises(OutputError, match=r"^told$"), writing("x", "y"):
        raise OutputError("told")
