"""Deep prompts: exact in every family, PEFT's on disk, masked as said, trained by the one loop."""

from dataclasses import replace

import numpy as np
import peft
import pytest
import torch
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from torch.nn.functional import nll_loss

from ppt import load_task, train_prompt
from ppt import tune as tune_task
from ppt.backbones.loading import load_backbone
from ppt.errors import ConfigError, InputError
from ppt.fewshot.lanes import tune
from ppt.pretrain import main
from ppt.prompts.deep import DeepBank, DeepShape
from ppt.prompts.encoder import Encoder
from ppt.prompts.files import load_prompt, open_prompt, read_values, save_prompt
from ppt.prompts.in_context import demonstrations, without_start
from ppt.prompts.soft import Residual, SoftPrompt, Vocabulary
from ppt.training.deep import DeepPrompts, begun
from ppt.transfer.library import choose_prompt, find_prompts, serves
from ppt.transfer.teacher import TunedLabeller
from tests.few import steps, toy_lanes, toy_task
from tests.test_pretrain import fails
from tests.test_training import Ended, KilledError, same, stop_in
from tests.test_tuning import POINTS, assert_same
from tests.tiny import CAUSAL, WORDS, save_tiny, tiny, tiny_batch, tiny_model, tiny_prompt
from tests.toys import settings, toy, toy_corpus, train

LIKE_PEFT = ("llama", "gpt2", "qwen2", "qwen3", "phi", "opt", "cohere", "granite")


def scores_close(one, other, tolerance=1e-4):
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def deep_of(backbone, length=6, seed=0, count=1):
    """Keys and values [count, P, D] of random embeddings, moved off what any embeddings have."""
    values = backbone.keys_values(tiny_prompt(backbone, length, seed, (count,)).detach())
    return values + 0.1 * torch.randn(values.shape, generator=torch.Generator().manual_seed(seed))


sizes = st.integers(1, 4)


@settings_of(max_examples=25)
@given(sizes, sizes, sizes, sizes, sizes)
def test_numbers_of_a_position_come_apart_and_together_again(layers, heads, size, count, length):
    shape = DeepShape(layers, heads, size)
    values = torch.randn(count, length, shape.width)
    pairs = shape.pairs(values)
    assert len(pairs) == layers
    assert all(one.shape == (count, heads, length, size) for pair in pairs for one in pair)
    assert torch.equal(shape.joined(pairs), values)


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("family", CAUSAL)
def test_keys_and_values_of_embeddings_score_as_they_do(family, words):
    """Scores are those of the embeddings; a row that may read all reads as one without a mask."""
    backbone, batch = tiny(family), tiny_batch(words)
    bank = tiny_prompt(backbone, bank=(2,)).detach()
    expected, values = backbone.score(bank, batch), backbone.keys_values(bank)
    for seen in (None, torch.ones(4, 6, dtype=torch.bool)):
        scores_close(backbone.score(DeepBank(values, seen), batch), expected, 1e-5)


def test_gradients_of_our_layers_are_those_of_transformers(monkeypatch):
    """Keys, values and masks through Llama's own backward pass, for a bank and longer words."""
    backbone, batch = tiny("llama", dtype=torch.float64), tiny_batch("multi")
    values = deep_of(backbone, count=2)
    seen = torch.rand(4, 6, generator=torch.Generator().manual_seed(1)) > 0.4
    found = []
    for serves_it in (True, False):
        monkeypatch.setattr("ppt.backbones.llama.serves", lambda _, own=serves_it: own)
        weight = values.clone().requires_grad_()
        scores = backbone.score(DeepBank(weight, seen), batch)
        scores.masked_fill(scores.isinf(), 0).sum().backward()
        found.append((scores.detach(), weight.grad))
    for one, other in zip(*found, strict=True):
        scores_close(one, other, 1e-5)
    assert found[0][1].abs().sum() > 0


def peft_scores(model, batch):
    """Log-probabilities [R, V] of what follows each right-padded row."""
    logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    last = batch.attention_mask.sum(1) - 1
    return logits[torch.arange(len(last)), last].log_softmax(-1)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen2"])
def test_gradients_are_those_of_pefts_prefix_tuning(family):
    backbone, batch = tiny(family), tiny_batch()
    batch = replace(batch, allowed=torch.ones_like(batch.allowed))
    (values,) = deep_of(backbone)
    config = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=6)
    theirs = peft.get_peft_model(tiny_model(family), config).eval()
    (weight,) = (one for one in theirs.parameters() if one.requires_grad)
    assert weight.shape == values.shape
    weight.data.copy_(values)
    chosen = batch.words.ids[batch.labels, 0]
    loss = -peft_scores(theirs, batch).gather(1, chosen[:, None]).mean()
    loss.backward()
    own = values.clone().requires_grad_()
    ours = nll_loss(backbone.score(DeepBank(own[None]), batch, full_vocabulary=True), batch.labels)
    ours.backward()
    scores_close(ours, loss)
    scores_close(own.grad, weight.grad)


@pytest.mark.parametrize("family", LIKE_PEFT)
def test_peft_loads_what_is_saved_with_equal_logits(family, tmp_path):
    backbone, batch = tiny(family), tiny_batch()
    batch = replace(batch, allowed=torch.ones_like(batch.allowed))
    (values,) = deep_of(backbone)
    bank = DeepPrompts(backbone, [values])
    assert bank.save(0, tmp_path, "tiny", {"format": "sentiment"})
    with torch.no_grad():
        theirs = peft.PeftModel.from_pretrained(tiny_model(family), tmp_path).eval()
        expected = peft_scores(theirs, batch)[:, batch.words.ids[:, 0]]
    scores_close(bank.score([0], batch, "vocabulary"), expected)
    prompt = open_prompt(tmp_path)
    assert prompt.trains == "kv"
    assert torch.equal(prompt.values(kind="causal", deep=backbone.deep), values)
    assert load_prompt(tmp_path).trains == "kv"
    assert torch.equal(load_prompt(tmp_path).values(deep=backbone.deep), values)


def test_prefixes_made_by_peft_are_read(tmp_path):
    backbone, batch = tiny("llama"), tiny_batch()
    batch = replace(batch, allowed=torch.ones_like(batch.allowed))
    config = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)
    torch.manual_seed(0)
    theirs = peft.get_peft_model(tiny_model("llama"), config).eval()
    theirs.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = peft_scores(theirs, batch)[:, batch.words.ids[:, 0]]
    bank = DeepBank(read_values(tmp_path, kind="causal", deep=backbone.deep)[None])
    scores_close(backbone.score(bank, batch, full_vocabulary=True), expected)


def test_a_prompt_of_the_other_kind_is_refused(tmp_path):
    backbone, card = tiny("llama"), {"format": "sentiment", "style": "soft", "backbone": "m"}
    (values,) = deep_of(backbone)
    known = {"kind": "causal", "model": "m", "card": card}
    save_prompt(tmp_path / "kv", values, **known, deep=backbone.deep)
    save_prompt(tmp_path / "soft", values[:, :32], **known)
    kv, soft = open_prompt(tmp_path / "kv"), open_prompt(tmp_path / "soft")
    with pytest.raises(InputError, match="PREFIX_TUNING, expected PROMPT_TUNING"):
        kv.values(hidden_size=32)
    with pytest.raises(InputError, match="PROMPT_TUNING, expected PREFIX_TUNING"):
        soft.values(deep=backbone.deep)
    with pytest.raises(InputError, match="num_layers 3, expected 4"):
        kv.values(deep=replace(backbone.deep, layers=4))
    with pytest.raises(InputError, match="has hidden size 96, the backbone has 48"):
        load_prompt(tmp_path / "kv").values(deep=DeepShape(3, 1, 8))
    for trains, one in (("kv", kv), ("prompt", soft)):
        assert serves(one, "sentiment", "soft", trains)
        assert choose_prompt([kv, soft], "sentiment", "soft", "m", "who", trains) is one
    with pytest.raises(InputError, match="--prompt_kind=kv --output_dir=runs/sentiment-soft-kv"):
        choose_prompt([soft], "sentiment", "soft", "m", "who", "kv")
    with pytest.raises(InputError, match="needs a prompt of format sentiment"):
        choose_prompt([kv], "sentiment", "soft", "m", "who")
    with pytest.raises(ConfigError, match=r"has shape \[1, 6, 32\], expected \[P, 96\]"):
        backbone.score(DeepBank(values[None, :, :32]), tiny_batch())


@pytest.mark.parametrize(
    ("family", "why"),
    [("t5", "has an encoder"), ("bloom", "rows share a prompt's states")],
)
def test_models_without_such_prompts_say_so(family, why):
    with pytest.raises(ConfigError, match=why):
        _ = tiny(family).deep


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_a_row_that_may_not_read_positions_is_as_if_they_were_not_there(family):
    """Transformers' own model, given the other positions only; texts stand where they stood."""
    from transformers import DynamicCache

    backbone, batch = tiny(family), tiny_batch()
    values = deep_of(backbone)
    origins, rows = torch.tensor([-1, 0, 0, 1, 2, 2]), np.array([[0, 1, 2, 3]])
    bank = DeepPrompts(backbone, list(values), origins=origins)
    scores = bank.score([0], batch, rows=rows)
    model = tiny_model(family)
    for row, (ids, mask) in enumerate(zip(batch.input_ids, batch.attention_mask, strict=True)):
        kept = values[:, origins != rows[0, row]]
        length = int(mask.sum())
        with torch.no_grad():
            logits = model(
                input_ids=ids[None, :length],
                past_key_values=DynamicCache(backbone.deep.pairs(kept)),
                position_ids=6 + torch.arange(length)[None],
                attention_mask=torch.ones(1, kept.shape[1] + length),
            ).logits[0, -1]
        allowed = batch.allowed[row]
        scores_close(scores[row][allowed], logits[batch.words.ids[:, 0]][allowed])
    assert not torch.allclose(scores[0], bank.score([0], batch)[0]), "evaluation reads all"


def test_what_is_dropped_hangs_on_seed_and_step_alone():
    backbone = tiny("llama")
    prompts = list(deep_of(backbone, length=50, count=3))
    bank = DeepPrompts(backbone, prompts, seeds=[4, 5, 4], dropout=0.3)
    rows, masks = np.zeros((3, 2), np.int64), []
    for step in range(60):
        bank.step = step
        seen = bank.seen([0, 1, 2], rows).view(3, 2, 50)
        assert torch.equal(seen[:, 0], seen[:, 1]), "one draw a step"
        assert torch.equal(seen[0], seen[2])
        alone = DeepPrompts(backbone, prompts[1:2], seeds=[5], dropout=0.3)
        alone.step = step
        assert torch.equal(alone.seen([0], rows[:1]), seen[1])
        masks.append(seen[:2, 0])
    kept = torch.stack(masks).float()
    assert kept.mean() == pytest.approx(0.7, abs=0.02)
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) == 60
    assert (kept[:, 0] != kept[:, 1]).any()
    whole = DeepPrompts(backbone, prompts)
    assert whole.seen([0], rows[:1]) is None


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_lane_of_a_bank_is_a_run_alone(family):
    backbone = tiny(family, dtype=torch.float64)
    lanes, words = toy_lanes(backbone, POINTS)
    starts = [deep_of(backbone, seed=lane.seed)[0] for lane in lanes]
    ended = []
    for which in ([0, 1, 2], [0], [1], [2]):
        bank = DeepPrompts(backbone, [starts[k] for k in which], dropout=0.3,
                           seeds=[lanes[k].seed for k in which])  # fmt: skip
        found = tune(bank, [lanes[k] for k in which], steps(), words, tokens_at_once=200)
        ended += zip([bank.value(k)[0] for k in range(len(which))], found, strict=True)
    for together, alone in zip(ended[:3], ended[3:], strict=True):
        assert_same(together, alone, 1e-5)
    assert not torch.equal(ended[0][0], starts[0])


def residual(values, bottleneck=8):
    return Residual(values.shape[1], bottleneck, torch.Generator().manual_seed(0))


def deep_run(toy, folder, resume="auto", **changes):
    """A pre-training with all there is: residual, examples that it began from, dropout."""
    backbone, examples = toy
    (values,) = deep_of(backbone, length=5)
    prompt = SoftPrompt(values, residual(values))
    origins = torch.tensor([-1, 3, 3, 5, 5])
    bank = DeepPrompts(backbone, [prompt], seeds=[2], dropout=0.3, origins=origins)
    own = settings(**changes)
    course = train(bank, examples, own, folder, resume=resume, progress="none")
    return Ended(course, bank, folder, own.metric_for_best_model)


def test_a_killed_run_ends_in_the_same_bits(tmp_path, monkeypatch):
    from ppt.training.loop import Loop

    toys = toy("llama")
    changes = {"max_steps": 9, "gradient_accumulation_steps": 2, "save_steps": 2}
    whole = deep_run(toys, tmp_path / "whole", **changes)
    with monkeypatch.context() as patched:
        stop_in(patched, Loop, "_step", 6)
        with pytest.raises(KilledError):
            deep_run(toys, tmp_path / "cut", **changes)
    same(deep_run(toys, tmp_path / "cut", **changes), whole)
    assert not torch.equal(whole.prompt, deep_of(toys[0], length=5)[0])


def test_a_residual_is_folded_and_begins_as_nothing(tmp_path):
    backbone, batch = tiny("llama"), tiny_batch()
    (values,) = deep_of(backbone)
    plain = DeepPrompts(backbone, [values]).score([0], batch)
    bank = DeepPrompts(backbone, [SoftPrompt(values, residual(values))])
    assert torch.equal(bank.score([0], batch), plain)
    with torch.no_grad():
        bank.prompts[0].residual.norm.weight.fill_(0.5)
    moved = bank.score([0], batch)
    assert not torch.allclose(moved, plain)
    assert bank.save(0, tmp_path, "tiny", {})
    kept = read_values(tmp_path, deep=backbone.deep)
    scores_close(backbone.score(DeepBank(kept[None]), batch), moved, 1e-5)


def test_a_prompt_of_either_kind_is_gone_on_from(tmp_path):
    backbone = tiny("llama")
    vocabulary = Vocabulary(backbone.input_embeddings(), backbone.tokenizer)
    embeddings, (values,) = tiny_prompt(backbone).detach(), deep_of(backbone)
    known = {"kind": "causal", "model": "m", "card": {}}
    save_prompt(tmp_path / "soft", embeddings, **known)
    save_prompt(tmp_path / "kv", values, **known, deep=backbone.deep)
    generator = torch.Generator()
    given = backbone, f"checkpoint:{tmp_path / 'soft'}", vocabulary, 6, generator
    assert torch.equal(begun(*given), backbone.keys_values(embeddings[None])[0])
    assert torch.equal(begun(backbone, f"checkpoint:{tmp_path / 'kv'}", *given[2:]), values)
    with pytest.raises(ConfigError, match="has 6 tokens, expected 5"):
        begun(backbone, f"checkpoint:{tmp_path / 'kv'}", vocabulary, 5, generator)


def test_examples_say_which_of_their_tokens_are_whose():
    """Without those of one example, what is left are the ids of the others."""
    backbone = tiny("llama")
    (lane,), words = toy_lanes(backbone, [(0, 0.1)])
    encoder = Encoder.of(backbone.tokenizer)
    shown = demonstrations(lane.train, words, encoder, "suffix", 400)
    assert 2 < shown.count <= len(lane.train)
    assert len(shown.rows) == len(shown.ids)
    order = list(dict.fromkeys(shown.rows))
    for row in order:
        own = [i for i, of in zip(shown.ids, shown.rows, strict=True) if of == row]
        starts = lane.train.starts[row : row + 2]
        assert own[: np.diff(starts)[0]] == lane.train.ids[slice(*starts)].tolist()
    assert without_start(lane.train, []) is lane.train


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Tiny models and a corpus on disk."""
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "llama", max_position_embeddings=200)
    save_tiny(folder / "t5", "t5")
    toy_corpus(folder / "corpus")
    return folder


def flags(place, output, **changes):
    usual = {
        "format": "sentiment", "corpus": place / "corpus", "model": place / "llama",
        "output_dir": output, "prompt_kind": "kv", "prompt_length": 40, "max_length": 56,
        "max_steps": 4, "eval_steps": 2, "per_device_train_batch_size": 8, "learning_rate": 0.05,
        "tensorboard": "false", "device": "cpu", "threads": 1,
    }  # fmt: skip
    return [f"--{name}={value}" for name, value in {**usual, **changes}.items()]


def test_the_command_trains_what_peft_loads_and_a_labeller_takes(place, tmp_path):
    output = tmp_path / "run"
    options = {"init": "examples", "residual": 4, "token_dropout": 0.2}
    assert main(flags(place, output, **options)) == 0
    (prompt,) = find_prompts([str(output)])
    assert prompt.trains == "kv"
    assert 10 < prompt.card["prompt_length"] <= 40
    assert prompt.card["first"]["loss"] != prompt.card["best"]["loss"]
    backbone, batch = load_backbone(str(place / "llama"), device="cpu"), tiny_batch()
    values = prompt.values(deep=backbone.deep)
    ours = backbone.score(DeepBank(values[None]), batch, full_vocabulary=True)
    with torch.no_grad():
        theirs = peft.PeftModel.from_pretrained(backbone.model, output / "prompt").eval()
        expected = peft_scores(theirs, batch)[:, batch.words.ids[:, 0]]
    scores_close(ours[batch.allowed], expected[batch.allowed])
    found = TunedLabeller.load(str(output)).probabilities(["It was great.", "no"])
    assert found.sum(1) == pytest.approx([1, 1], abs=1e-5)


def test_from_python_a_prompt_goes_from_one_to_the_other(place):
    backbone = load_backbone(str(place / "llama"), device="cpu")
    settings = {"max_steps": 2, "max_length": 48, "tensorboard": False}
    made = train_prompt(place / "corpus", backbone, prompt_kind="kv", prompt_length=3, **settings)
    assert made.prompt.values(deep=backbone.deep).shape == (3, backbone.deep.width)
    task = load_task(toy_task(place / "task"))
    tuned = tune_task(task, backbone, methods=["kv_ppt"], prompts=[made.prompt], shots=4, seeds=1,
                      max_steps=2, eval_steps=1, max_length=48, residual=4)  # fmt: skip
    (run,), ((prompt,),) = tuned.runs, tuned.prompts.values()
    assert prompt.trains == "kv"
    assert run.init == "checkpoint:a prompt in memory"
    network = 2 * 4 * backbone.deep.width + 4 + 3 * backbone.deep.width
    assert run.parameters == 3 * backbone.deep.width + network


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "t5"}, "needs a causal model"),
        ({"prompt_kind": "embeddings", "token_dropout": 0.1}, "it is for --prompt_kind=kv alone"),
        ({"prompt_kind": "embeddings", "init": "examples"}, "it is for --prompt_kind=kv alone"),
        ({"trains": "lora", "style": "hard"}, "--prompt_kind: got 'kv': it is for --trains=prompt"),
        ({"token_dropout": 1}, "0 or more, below 1"),
        ({"init": "examples", "prompt_length": 3}, "raise --prompt_length"),
        ({"prompt_length": 150}, "lower --prompt_length"),
    ],
)
def test_errors_are_one_line(place, tmp_path, capsys, change, message):
    if "model" in change:
        change = {"model": place / change["model"]}
    assert message in fails(capsys, flags(place, tmp_path / "run", **change))
    assert not (tmp_path / "run").exists()
