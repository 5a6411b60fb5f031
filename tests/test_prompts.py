"""Initialisers, what is trained of a prompt, and PEFT as the oracle of what is on disk."""

import json
import math
import os
from dataclasses import replace

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy

from ppt.errors import ConfigError, InputError, OutputError, UnknownNameError
from ppt.prompts.deep import DeepShape
from ppt.prompts.files import (
    CARD,
    CONFIG,
    TENSOR,
    WEIGHTS,
    load_prompt,
    read_card,
    read_values,
    save_prompt,
)
from ppt.prompts.soft import (
    INITS,
    Residual,
    SoftPrompt,
    Vocabulary,
    initialiser,
    random_uniform,
    sampled_vocabulary,
)
from tests.tiny import (
    WORDS,
    tiny,
    tiny_batch,
    tiny_llama,
    tiny_model,
    tiny_prompt,
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def backbone():
    return tiny_llama()


@pytest.fixture
def vocabulary(backbone):
    return Vocabulary(backbone.input_embeddings(), backbone.tokenizer, WORDS["multi"])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def row_of(table, vector):
    """The id whose embedding is `vector`."""
    (match,) = (table == vector).all(-1).nonzero().flatten().tolist()
    return match


# --- initialisers -------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 4, 300])
@pytest.mark.parametrize("init", ["random", "vocabulary", "labels", "text:It was", "checkpoint:"])
def test_every_init_gives_the_shape_and_the_same_for_the_same_seed(
    init, length, vocabulary, tmp_path
):
    save(tmp_path, torch.randn(length, 32))
    init = init + str(tmp_path) if init == "checkpoint:" else init
    make = initialiser(init, vocabulary)
    prompt = make((length, 32), seeded())
    assert prompt.shape == (length, 32)
    assert prompt.dtype == torch.float32
    assert torch.equal(prompt, make((length, 32), seeded()))


def test_random_and_vocabulary_differ_between_seeds(vocabulary):
    for init in ("random", "vocabulary", "labels"):
        make = initialiser(init, vocabulary)
        assert not torch.equal(make((20, 32), seeded(1)), make((20, 32), seeded(2)))


def test_random_is_uniform_within_its_limit():
    prompt = random_uniform(0.2)((100, 500), seeded())
    assert prompt.abs().max() <= 0.2
    assert prompt.square().mean().sqrt().item() == pytest.approx(0.2 / math.sqrt(3), rel=0.02)
    assert random_uniform()((100, 500), seeded()).abs().max().item() == pytest.approx(0.5, abs=1e-3)


def test_sampled_vocabulary_takes_common_tokens_that_are_not_special(vocabulary):
    prompt = sampled_vocabulary(vocabulary, 40)((40, 32), seeded())
    ids = [row_of(vocabulary.table, vector) for vector in prompt]
    special = 5
    assert sorted(ids) == list(range(special, special + 40))
    assert len(sampled_vocabulary(vocabulary, 40)((90, 32), seeded())) == 90
    assert vocabulary.common(5000).max() < len(vocabulary.tokenizer)


def test_class_labels_are_means_of_their_tokens_then_vocabulary(vocabulary):
    prompt = initialiser("labels", vocabulary)((6, 32), seeded())
    table = vocabulary.table
    torch.testing.assert_close(prompt[0], table[[60, 70, 80]].mean(0))
    torch.testing.assert_close(prompt[1], table[[61, 71]].mean(0))
    torch.testing.assert_close(prompt[2], table[62])
    assert {row_of(table, vector) for vector in prompt[4:]} <= set(vocabulary.common(5000).tolist())
    with pytest.raises(ConfigError, match="needs label words"):
        initialiser("labels", replace(vocabulary, words=None))


def test_text_is_cut_or_begun_again(vocabulary):
    ids = vocabulary.tokenizer("It was", add_special_tokens=False)["input_ids"]
    make = initialiser("text:It was", vocabulary)
    assert torch.equal(make((4, 32), seeded()), vocabulary.table[ids[:4]])
    assert torch.equal(make((8, 32), seeded()), vocabulary.table[[*ids, *ids[:2]]])


def test_gemma_prompts_start_in_the_scaled_space():
    gemma = tiny("gemma")
    vocabulary = Vocabulary(gemma.input_embeddings(), gemma.tokenizer)
    prompt = initialiser("text:It", vocabulary)((2, 32), seeded())
    ids = torch.tensor(gemma.tokenizer("It", add_special_tokens=False)["input_ids"])
    assert torch.equal(prompt, gemma.model.get_input_embeddings()(ids))


@pytest.mark.parametrize(
    ("init", "says"),
    [
        ("vocabulry", "unknown init 'vocabulry'. Did you mean 'vocabulary'?"),
        ("text:", "has no tokens"),
        ("random:x", "expected a number above 0"),
        ("random:-1", "expected a number above 0"),
        ("vocabulary:0", "expected a whole number above 0"),
        ("vocabulary:0.5", "expected a whole number above 0"),
        ("labels:all", "init 'labels:all': expected labels alone"),
    ],
)
def test_wrong_inits_give_one_line(init, says, vocabulary):
    with pytest.raises((ConfigError, UnknownNameError)) as caught:
        initialiser(init, vocabulary)
    assert says in str(caught.value)


def test_a_checkpoint_of_another_length_names_the_flag(vocabulary, tmp_path):
    save(tmp_path, torch.randn(4, 32))
    with pytest.raises(ConfigError, match="has 4 tokens, expected 6: set --prompt_length 4"):
        initialiser(f"checkpoint:{tmp_path}", vocabulary)((6, 32), seeded())
    assert "checkpoint" in INITS


# --- what is trained ----------------------------------------------------------------------


def test_a_residual_starts_as_nothing_learns_and_folds_in(backbone):
    values, batch = tiny_prompt(backbone), tiny_batch()
    prompt = SoftPrompt(values, Residual(32, 8, seeded()))
    assert torch.equal(prompt(), values)
    optimizer = torch.optim.AdamW(prompt.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        loss = cross_entropy(backbone.score(prompt(), batch), batch.labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(
        (p != q).any()
        for p, q in zip(
            prompt.residual.parameters(), Residual(32, 8, seeded()).parameters(), strict=True
        )
    )
    folded = prompt.folded()
    assert not folded.requires_grad
    torch.testing.assert_close(folded, prompt().detach())
    torch.testing.assert_close(backbone.score(folded, batch), backbone.score(prompt(), batch))


def test_a_residual_is_seeded():
    one, two, three = (Residual(8, 4, seeded(s)).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["up.weight"], three["up.weight"])


# --- PEFT is the oracle -------------------------------------------------------------------


def save(folder, prompt, kind="causal", **card):
    save_prompt(folder, prompt, kind=kind, model="tiny", card=card)


def peft_scores(model, batch, kind):
    """Logits of the label words through PEFT, one unpadded row at a time."""
    scores = []
    for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True):
        row = {"input_ids": ids[None, : mask.sum()], "attention_mask": mask[None, : mask.sum()]}
        decoder = {"decoder_input_ids": torch.tensor([[0, 3]])} if kind == "seq2seq" else {}
        scores.append(model(**row, **decoder).logits[0, -1, batch.words.ids[:, 0]])
    return torch.stack(scores)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "t5", "t5_v1_1"])
def test_peft_loads_our_prompts_with_equal_logits(family, tmp_path):
    backbone, batch = tiny(family), tiny_batch()
    batch = replace(batch, allowed=torch.ones_like(batch.allowed))
    prompt = tiny_prompt(backbone).detach()
    save(tmp_path, prompt, backbone.kind)
    with torch.no_grad():
        theirs = peft.PeftModel.from_pretrained(tiny_model(family), tmp_path).eval()
        expected = peft_scores(theirs, batch, backbone.kind)
    torch.testing.assert_close(backbone.score(prompt, batch), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(read_values(tmp_path, hidden_size=32, kind=backbone.kind), prompt)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "t5"])
def test_peft_gives_our_logits_with_padding_on_the_right_alone(family, tmp_path):
    """What docs/pretraining.md says: on the left, padding parts the prompt from the text."""
    backbone, batch = tiny(family), tiny_batch(lengths=(7, 3))
    batch = replace(batch, allowed=torch.ones_like(batch.allowed))
    prompt, rows = tiny_prompt(backbone).detach(), torch.arange(2)
    save(tmp_path, prompt, backbone.kind)
    theirs = peft.PeftModel.from_pretrained(tiny_model(family), tmp_path).eval()
    ours = backbone.score(prompt, batch)
    order = batch.attention_mask.argsort(dim=1, stable=True)
    for side in ("right", "left"):
        given = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if side == "left":
            given = {name: part.take_along_dim(order, 1) for name, part in given.items()}
        decoder = {"decoder_input_ids": torch.tensor([[0, 3]] * 2)} if family == "t5" else {}
        with torch.no_grad():
            logits = theirs(**given, **decoder).logits
        last = batch.attention_mask.sum(1) - 8 if side == "right" and family != "t5" else -1
        scores = logits[rows, last][:, batch.words.ids[:, 0]]
        torch.testing.assert_close(scores[0], ours[0], rtol=1e-4, atol=1e-4)
        assert torch.allclose(scores[1], ours[1], rtol=1e-4, atol=1e-4) == (side == "right")


@pytest.mark.parametrize(
    ("family", "task", "submodules"),
    [
        ("llama", "CAUSAL_LM", None),
        ("t5", "SEQ_2_SEQ_LM", 1),
        ("t5", "SEQ_2_SEQ_LM", None),  # 2 in effect: PEFT saves 2 * P rows and uses P
    ],
)
def test_prompts_made_by_peft_give_the_same_logits_here(family, task, submodules, tmp_path):
    config = peft.PromptTuningConfig(
        task_type=task, num_virtual_tokens=5, num_transformer_submodules=submodules
    )
    torch.manual_seed(0)
    theirs = peft.get_peft_model(tiny_model(family), config).eval()
    theirs.save_pretrained(tmp_path)
    backbone, batch = tiny(family), tiny_batch()
    batch = replace(batch, allowed=torch.ones_like(batch.allowed))
    prompt = read_values(tmp_path, hidden_size=32, kind=backbone.kind)
    assert prompt.shape == (5, 32)
    with torch.no_grad():
        expected = peft_scores(theirs, batch, backbone.kind)
    torch.testing.assert_close(backbone.score(prompt, batch), expected, rtol=1e-4, atol=1e-4)
    assert read_card(tmp_path) == {}


def test_the_files_are_as_peft_wants_them(tmp_path):
    prompt = torch.randn(5, 32, dtype=torch.bfloat16, requires_grad=True)
    save(tmp_path / "runs" / "prompt", prompt, step=7, note="größer")
    folder = tmp_path / "runs" / "prompt"
    assert sorted(file.name for file in folder.iterdir()) == [CONFIG, WEIGHTS, CARD]
    config = json.loads((folder / CONFIG).read_text())
    assert config["peft_type"] == "PROMPT_TUNING"
    assert config["num_virtual_tokens"] == 5
    assert config["num_transformer_submodules"] == 1
    assert config["inference_mode"] is True
    ((name, rows),) = load_file(folder / WEIGHTS).items()
    assert name == TENSOR
    assert rows.dtype == torch.float32
    card = read_card(folder)
    assert card == {
        "model": "tiny",
        "kind": "causal",
        "prompt_length": 5,
        "hidden_size": 32,
        "step": 7,
        "note": "größer",
    }
    assert torch.equal(read_values(tmp_path / "runs"), rows)  # a run's folder serves too


@pytest.mark.promise("torn")
@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_crash_while_saving_leaves_a_whole_prompt(renames, tmp_path, monkeypatch):
    save(tmp_path, torch.zeros(5, 8), step=1)
    real, done = os.replace, []

    def crash(source, target):
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(target)
        real(source, target)

    monkeypatch.setattr("os.replace", crash)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, torch.ones(5, 8), step=2)
    monkeypatch.undo()
    assert torch.equal(read_values(tmp_path), torch.full((5, 8), float(renames > 0)))
    assert read_card(tmp_path)["step"] == 1
    save(tmp_path, torch.ones(5, 8), step=3)
    assert torch.equal(read_values(tmp_path), torch.ones(5, 8))
    assert read_card(tmp_path)["step"] == 3


def test_a_folder_that_cannot_be_written_gives_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write the prompt"):
        save(tmp_path / "file" / "prompt", torch.zeros(5, 8))


# --- what is refused ----------------------------------------------------------------------


def lora(folder):
    config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])
    peft.get_peft_model(tiny_model("llama"), config).save_pretrained(folder)


def rewrite(folder, name, content):
    save(folder, torch.zeros(5, 32))
    (folder / name).write_bytes(content)


def tensors(folder, **named):
    save(folder, torch.zeros(5, 32))
    save_file(named, folder / WEIGHTS)


def pickled(folder):
    save(folder, torch.zeros(5, 32))
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda folder: None, "there is no prompt in"),
        (lora, "has peft_type LORA, expected PROMPT_TUNING"),
        (lambda f: save(f, torch.zeros(5, 16)), "hidden size 16, the backbone has 32"),
        (lambda f: save(f, torch.zeros(5, 32), "seq2seq"), "task_type SEQ_2_SEQ_LM, expected CAUS"),
        (lambda f: save(f, torch.full((5, 32), torch.nan)), "NaN"),
        (lambda f: rewrite(f, CONFIG, b"{"), "cannot read"),
        (lambda f: rewrite(f, CONFIG, b"[]"), "expected a JSON object"),
        (lambda f: rewrite(f, CONFIG, b'{"peft_type": "PROMPT_TUNING"}'), "task_type None"),
        (lambda f: rewrite(f, WEIGHTS, b"nothing"), "cannot read"),
        (lambda f: tensors(f, other=torch.zeros(5, 32)), "holds other, expected prompt_embeddings"),
        (
            lambda f: tensors(f, prompt_embeddings=torch.zeros(6, 32)),
            r"shape \[6, 32\], expected \[5",
        ),
        (pickled, "only a pickled adapter_model.bin, which is never read"),
    ],
)
def test_what_is_no_prompt_for_this_backbone_is_refused(make, says, tmp_path):
    make(tmp_path)
    with pytest.raises(InputError, match=says) as caught:
        read_values(tmp_path, hidden_size=32, kind="causal")
    assert "\n" not in str(caught.value)


def test_a_prompt_that_was_read_into_memory_is_of_its_backbone_too(tmp_path):
    save(tmp_path, torch.ones(4, 32), "seq2seq")
    prompt = load_prompt(tmp_path)
    assert prompt.values(hidden_size=32, kind="seq2seq").shape == (4, 32)
    with pytest.raises(InputError, match="has task_type SEQ_2_SEQ_LM, expected CAUSAL_LM"):
        prompt.values(hidden_size=32, kind="causal")
    own, other = DeepShape(3, 2, 8), DeepShape(6, 1, 8)  # as many numbers a position
    save_prompt(tmp_path, torch.ones(4, 96), kind="causal", model="m", card={}, deep=other)
    prompt = load_prompt(tmp_path)
    assert prompt.values().shape == prompt.values(kind="causal", deep=other).shape == (4, 96)
    with pytest.raises(InputError, match="has num_layers 6, expected 3"):
        prompt.values(deep=own)
