"""Scores against plain references on the models themselves; what is frozen, what is refused."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from tokenizers.models import BPE
from torch.nn import functional
from torch.nn.functional import cross_entropy, nll_loss
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ppt.backbones import base as scoring
from ppt.backbones import llama
from ppt.backbones.base import LOSSES
from ppt.backbones.loading import as_backbone, dtype_hint, load_backbone
from ppt.errors import ConfigError, InputError, PPTError, UnknownNameError
from ppt.prompts.batches import collate, pack
from ppt.prompts.rendering import Rendered
from ppt.prompts.soft import Vocabulary, initialiser
from ppt.prompts.tensors import LabelWords
from tests.tiny import (
    CAUSAL,
    LLAMA,
    SEQ2SEQ,
    WORDS,
    save_tiny,
    tiny,
    tiny_batch,
    tiny_gpt2,
    tiny_llama,
    tiny_model,
    tiny_prompt,
    tiny_t5,
    tiny_tokenizer,
)

EVERY = [*CAUSAL, *SEQ2SEQ]
LOSS_CASES = [("single", False), ("single", True), ("multi", True)]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def gradient(backbone, prompt, batch, **options):
    """Scores, and the gradient of the loss with respect to the prompt."""
    prompt = prompt.detach().clone().requires_grad_()
    scores = backbone.score(prompt, batch, **options)
    cross_entropy(scores, batch.labels).backward()
    return scores.detach(), prompt.grad


# --- the oracle: the model's own forward, one row and one word at a time ------------------


def reference(backbone, model, prompt, batch, full_vocabulary):
    """Scores [R, L] by concatenating embeddings, full logits, log_softmax and gather."""
    words, embed = batch.words, model.get_input_embeddings()
    log_probabilities = full_vocabulary or not words.single
    scores = torch.full(batch.allowed.shape, -torch.inf)
    for r, (ids, mask) in enumerate(zip(batch.input_ids, batch.attention_mask, strict=True)):
        real = embed(ids[: int(mask.sum())])
        text = real if prompt is None else torch.cat([prompt, real])
        for label in batch.allowed[r].nonzero().flatten().tolist():
            word = words.ids[label, : words.lengths[label]]
            if backbone.kind == "seq2seq":
                read = torch.cat([torch.tensor([0, 3]), word[:-1]])  # <pad> <extra_id_0>
                out = model(inputs_embeds=text[None], decoder_input_ids=read[None]).logits[0, 1:]
            else:
                whole = torch.cat([text, embed(word)])
                out = model(inputs_embeds=whole[None]).logits[0, -1 - len(word) : -1]
            out = out.log_softmax(-1) if log_probabilities else out
            scores[r, label] = out.gather(1, word[:, None]).sum()
    return scores


@pytest.mark.parametrize(("words", "full"), LOSS_CASES)
@pytest.mark.parametrize("family", EVERY)
def test_scores_and_gradients_equal_those_of_the_plain_model(family, words, full):
    backbone, model, batch = tiny(family), tiny_model(family), tiny_batch(words)
    prompt = tiny_prompt(backbone)
    expected = reference(backbone, model, prompt, batch, full)
    cross_entropy(expected, batch.labels).backward()
    scores, grad = gradient(backbone, prompt, batch, full_vocabulary=full)
    torch.testing.assert_close(scores, expected.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(grad, prompt.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", EVERY)
def test_scores_without_a_prompt_equal_those_of_the_plain_model(family):
    backbone, batch = tiny(family), tiny_batch("multi")
    with torch.no_grad():
        expected = reference(backbone, tiny_model(family), None, batch, full_vocabulary=True)
    torch.testing.assert_close(backbone.score(None, batch), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("family", [*CAUSAL, "mamba", "bloom"])
def test_concatenation_gives_the_scores_of_the_plain_model(family, words):
    backbone, batch = tiny(family, shared_prefix=False), tiny_batch(words)
    prompt = tiny_prompt(backbone).detach()
    with torch.no_grad():
        expected = reference(backbone, tiny_model(family), prompt, batch, full_vocabulary=False)
    torch.testing.assert_close(backbone.score(prompt, batch), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("family", CAUSAL)
def test_a_shared_prefix_changes_neither_scores_nor_gradients(family, words):
    batch = tiny_batch(words)
    shared, plain = (tiny(family, shared_prefix=shared) for shared in (True, False))
    prompt = tiny_prompt(shared)
    for ours, theirs in zip(
        gradient(shared, prompt, batch), gradient(plain, prompt, batch), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


# --- banks, padding, allowed labels -------------------------------------------------------


@pytest.mark.parametrize("shared_prefix", [True, False])
@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("family", ["llama", "gemma2", "t5"])
def test_a_bank_of_prompts_equals_separate_calls(family, words, shared_prefix):
    backbone, batch = tiny(family, shared_prefix=shared_prefix), tiny_batch(words)
    bank = tiny_prompt(backbone, bank=(3,)).detach()
    threefold = replace(
        batch,
        **{
            field: getattr(batch, field).repeat(3, *[1] * (getattr(batch, field).ndim - 1))
            for field in ("input_ids", "attention_mask", "labels", "allowed")
        },
    )
    scores, grad = gradient(backbone, bank, threefold)
    for k, prompt in enumerate(bank):
        alone, its_grad = gradient(backbone, prompt, batch)
        rows = slice(k * len(batch), (k + 1) * len(batch))
        torch.testing.assert_close(scores[rows], alone, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(grad[k] * 3, its_grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("family", EVERY)
def test_more_padding_changes_nothing(family, words):
    backbone = tiny(family)
    prompt, tight, loose = tiny_prompt(backbone), tiny_batch(words), tiny_batch(words, pad=5)
    garbage = torch.where(
        loose.attention_mask.bool(), tiny_batch(words).input_ids.new_tensor(0), 99
    )
    loose = replace(loose, input_ids=garbage.clone())
    loose.input_ids[:, : tight.input_ids.shape[1]] = tight.input_ids
    for ours, theirs in zip(
        gradient(backbone, prompt, tight), gradient(backbone, prompt, loose), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [tiny_llama, tiny_t5])
def test_only_allowed_labels_get_a_score_and_take_part_in_the_loss(make):
    backbone, batch = make(), tiny_batch()
    prompt = tiny_prompt(backbone)
    scores = backbone.score(prompt, batch)
    assert (scores.isneginf() == ~batch.allowed).all()
    two = functional.cross_entropy(scores[-1:, :2], batch.labels[-1:])
    torch.testing.assert_close(cross_entropy(scores[-1:], batch.labels[-1:]), two)
    cross_entropy(scores, batch.labels).backward()
    assert prompt.grad.isfinite().all()


def test_no_rows_give_no_scores():
    batch = tiny_batch()
    nothing = replace(
        batch,
        input_ids=batch.input_ids[:0],
        attention_mask=batch.attention_mask[:0],
        labels=batch.labels[:0],
        allowed=batch.allowed[:0],
    )
    backbone = tiny_llama()
    assert backbone.score(tiny_prompt(backbone), nothing).shape == (0, 3)


def test_word_probabilities_are_those_of_the_whole_word():
    """All continuations of one and two tokens: the second tokens of a first sum to it."""
    backbone, batch = tiny_llama(), tiny_batch(lengths=(4, 2))
    first = torch.full((backbone.vocab_size, 1), 60)
    second = torch.arange(backbone.vocab_size)[:, None]
    pairs = LabelWords(torch.cat([first, second], 1), torch.full((len(first),), 2))
    everything = torch.ones(2, backbone.vocab_size, dtype=torch.bool)
    with torch.no_grad():
        single = backbone.score(None, batch, full_vocabulary=True)[:, 0]
        double = backbone.score(None, replace(batch, words=pairs, allowed=everything))
    torch.testing.assert_close(double.logsumexp(-1), single, rtol=1e-4, atol=1e-4)


# --- losses -------------------------------------------------------------------------------


def test_the_losses_are_those_of_their_flags():
    scores = torch.tensor([[-1.0, -2.0, -torch.inf], [-3.0, -0.5, -0.7]])
    labels = torch.tensor([1, 2])
    torch.testing.assert_close(nll_loss(scores, labels), torch.tensor((2.0 + 0.7) / 2))
    among = scores.log_softmax(-1)
    torch.testing.assert_close(cross_entropy(scores, labels), -(among[0, 1] + among[1, 2]) / 2)
    for loss in LOSSES.values():
        rows = loss(scores, labels, reduction="none")
        torch.testing.assert_close(rows.mean(), loss(scores, labels))


@pytest.mark.parametrize("family", ["llama", "gemma3", "t5"])
def test_any_attention_implementation_gives_the_same(family):
    batch, backbones = tiny_batch("multi"), []
    for attention in ("eager", "sdpa"):
        model = tiny_model(family)
        model.set_attn_implementation(attention)
        backbones.append(as_backbone(model, tiny_tokenizer()))
    prompt = tiny_prompt(backbones[0])
    eager, sdpa = (gradient(backbone, prompt, batch) for backbone in backbones)
    for ours, theirs in zip(eager, sdpa, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "t5_v1_1"])
def test_a_model_may_become_a_backbone_twice(family):
    model, batch = tiny_model(family), tiny_batch()
    first = as_backbone(model, tiny_tokenizer())
    prompt = tiny_prompt(first)
    scores = first.score(prompt, batch)
    assert torch.equal(as_backbone(model, tiny_tokenizer()).score(prompt, batch), scores)


# --- frozen, precise, small ---------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5_v1_1"])
def test_the_weights_are_frozen_and_get_no_gradient(family):
    backbone = tiny(family)
    prompt = tiny_prompt(backbone)
    gradient(backbone, prompt, tiny_batch())
    assert not backbone.model.training
    for name, weight in backbone.model.named_parameters():
        assert not weight.requires_grad, name
        assert weight.grad is None, name


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "t5", "t5_v1_1"])
def test_bfloat16_runs_and_is_near_float32(family):
    half, full, batch = tiny(family, dtype=torch.bfloat16), tiny(family), tiny_batch("multi")
    assert half.dtype == torch.bfloat16
    prompt = tiny_prompt(full)
    scores, grad = gradient(half, prompt, batch)
    expected, direction = gradient(full, prompt, batch)
    assert scores.dtype == grad.dtype == torch.float32
    allowed = batch.allowed
    gap = (scores - expected)[allowed].abs() / (1 + expected[allowed].abs())
    assert gap.median() < 0.1
    assert functional.cosine_similarity(grad.flatten(), direction.flatten(), dim=0) > 0.8


TEXT_AND_BRANCHES = 4, 7 + 4 * 2


@pytest.mark.parametrize(
    ("family", "expected"),
    [("qwen3", [(1, 6), TEXT_AND_BRANCHES]), ("llama", [(6 + math.prod(TEXT_AND_BRANCHES),)])],
)
def test_the_prompt_is_computed_once_a_batch(family, expected):
    backbone, seen = tiny(family), []
    projection = backbone.model.model.layers[0].self_attn.q_proj
    projection.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0].shape[:-1]))
    backbone.score(tiny_prompt(backbone, length=6), tiny_batch("multi", lengths=(7, 3, 5, 1)))
    assert seen == expected


# --- layers with a backward pass of their own ---------------------------------------------


@pytest.mark.parametrize("family", ["llama", "qwen2"])
@pytest.mark.parametrize("words", WORDS)
def test_layers_of_our_own_equal_those_of_transformers(family, words, monkeypatch):
    backbone, batch = tiny(family), tiny_batch(words)
    backbone.model.double()
    assert llama.serves(backbone.model)
    bank = tiny_prompt(backbone, bank=(2,)).double()
    ours = gradient(backbone, bank, batch)
    monkeypatch.setattr(llama, "serves", lambda model: False)
    for mine, theirs in zip(ours, gradient(backbone, bank, batch), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)  # norms in float32


@pytest.mark.parametrize("family", [*CAUSAL])
def test_only_layers_like_llama_are_served(family):
    backbone = tiny(family)
    assert llama.serves(backbone.model) == (family in llama.MODEL_TYPES)


def test_models_that_train_or_are_wrapped_are_not_served():
    backbone, batch = tiny("llama"), tiny_batch("single")
    layer = backbone.model.model.layers[1]
    layer.mlp.up_proj.requires_grad_(True)
    assert not llama.serves(backbone.model)
    cross_entropy(backbone.score(tiny_prompt(backbone), batch), batch.labels).backward()
    assert layer.mlp.up_proj.weight.grad.abs().sum() > 0
    backbone.model.requires_grad_(False)
    assert llama.serves(backbone.model)
    layer.self_attn.o_proj = torch.nn.Sequential(layer.self_attn.o_proj)
    assert not llama.serves(backbone.model)


def test_a_bias_that_our_layers_leave_out_is_seen():
    config = transformers.LlamaConfig(**LLAMA, attention_bias=True)
    assert not llama.serves(
        as_backbone(transformers.LlamaForCausalLM(config), tiny_tokenizer()).model
    )


class Widths(TorchDispatchMode):
    """Notes the last size of every tensor that comes into being."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.seen |= {
            t.shape[-1] for t in tree_leaves(out) if isinstance(t, torch.Tensor) and t.ndim
        }
        return out


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_single_tokens_never_need_logits_of_the_whole_vocabulary(family):
    backbone, batch = tiny(family), tiny_batch()
    prompt = tiny_prompt(backbone)
    for full in (False, True):
        with Widths() as widths:
            cross_entropy(
                backbone.score(prompt, batch, full_vocabulary=full), batch.labels
            ).backward()
        assert (backbone.vocab_size in widths.seen) == full


def test_the_embedding_table_is_what_the_first_layer_gets():
    for backbone in (tiny_llama(), tiny("gemma")):
        table, ids = backbone.input_embeddings(), torch.tensor([3, 200])
        assert table.shape == (backbone.vocab_size, backbone.hidden_size)
        assert torch.equal(table[ids], backbone.model.get_input_embeddings()(ids))
        batch = tiny_batch(lengths=(5,))
        as_prompt = backbone.score(
            table[batch.input_ids[0, :2]],
            replace(
                batch, input_ids=batch.input_ids[:, 2:], attention_mask=batch.attention_mask[:, 2:]
            ),
        )
        torch.testing.assert_close(as_prompt, backbone.score(None, batch), rtol=1e-4, atol=1e-4)


# --- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("family", ["mamba", "gpt_neo", "bloom", "mpt", "falcon", "lfm2"])
def test_models_that_cannot_share_a_prefix_score_exactly_without(family, words, capsys):
    backbone, batch = tiny(family), tiny_batch(words)
    said = capsys.readouterr().err
    assert said.startswith("note: rows of ")
    assert said.count("\n") == 1
    assert not backbone.shared_prefix
    prompt = tiny_prompt(backbone).detach()
    with torch.no_grad():
        expected = reference(backbone, tiny_model(family), prompt, batch, full_vocabulary=False)
    torch.testing.assert_close(backbone.score(prompt, batch), expected, rtol=1e-4, atol=1e-4)
    tiny(family, shared_prefix=False)
    tiny("llama")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("shared_prefix", [True, False])
def test_a_model_that_does_not_read_from_left_to_right_is_refused(shared_prefix):
    with pytest.raises(ConfigError, match=r"'bert' cannot be served.*left to right") as caught:
        tiny("bert", shared_prefix=shared_prefix)
    assert "shared_prefix" not in str(caught.value)


@pytest.mark.parametrize(("family", "why"), [("gemma3n", "off"), ("gemma4", "without providing")])
def test_a_model_whose_layers_look_tokens_up_by_id_is_refused(family, why):
    with pytest.raises(ConfigError, match=f"'{family}_text' cannot be served.*{why}"):
        tiny(family)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize(("family", "name"), [("llama", "lm_head.weight"), ("t5", "shared.weight")])
def test_weights_that_are_no_numbers_are_named(family, name, value):
    model = tiny_model(family, tie_word_embeddings=family == "t5")
    with torch.no_grad():
        model.get_parameter(name)[200, 3] = value
    with pytest.raises(ConfigError, match=f"NaN or infinite values in {name}: fetch or save"):
        as_backbone(model, tiny_tokenizer(), "broken")


# --- padding, and tokens without embeddings -----------------------------------------------


def left_padded(batch):
    """The same rows with their padding on the left."""
    order = batch.attention_mask.argsort(dim=1, stable=True)
    ids, mask = (t.take_along_dim(order, 1) for t in (batch.input_ids, batch.attention_mask))
    return replace(batch, input_ids=ids, attention_mask=mask)


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("family", EVERY)
def test_the_side_of_the_padding_changes_nothing(family, words):
    backbone, batch = tiny(family), tiny_batch(words)
    prompt, left = tiny_prompt(backbone).detach(), left_padded(batch)
    assert left.attention_mask[:, 0].tolist() == [1, 0, 0, 0]
    for before in (prompt, None):
        assert torch.equal(backbone.score(before, left), backbone.score(before, batch))


def test_the_tokenizer_of_a_backbone_pads_on_the_right(tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.padding_side = "left"
    tiny_model("llama").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_backbone(str(tmp_path), device="cpu").tokenizer
    assert loaded(["a", "abc"], padding=True)["attention_mask"] == [[1, 0, 0], [1, 1, 1]]


def wider(**added):
    """A tokenizer with tokens that the tiny models have no embedding of."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([f"<spare {i}>" for i in range(272 - len(tokenizer))], special_tokens=True)
    assert len(tokenizer) == 272
    tokenizer.add_special_tokens(added) if added else tokenizer.add_tokens(["<new>"])
    return tokenizer


@pytest.mark.parametrize("family", ["llama", "gpt2", "bloom", "t5"])
def test_padding_that_the_model_does_not_know_is_never_read(family):
    backbone = as_backbone(tiny_model(family), wider(pad_token="[PAD]"))
    assert backbone.tokenizer.pad_token_id == 272
    assert 0 <= backbone.pad_id < backbone.vocab_size
    rows = pack([Rendered([60, 70, 3], 0, 0, cut=False), Rendered([80], 1, 0, cut=False)])
    batch = collate(rows, np.arange(2), WORDS["single"], backbone.pad_id)
    alone = collate(rows, np.arange(1, 2), WORDS["single"], backbone.pad_id)
    prompt = tiny_prompt(backbone)
    torch.testing.assert_close(
        backbone.score(prompt, batch)[1:], backbone.score(prompt, alone), rtol=1e-4, atol=1e-4
    )


def test_other_tokens_that_the_model_does_not_know_are_refused():
    with pytest.raises(
        ConfigError, match=r"token '<new>' of id 272.* has 272 embeddings"
    ) as caught:
        as_backbone(tiny_model("llama"), wider(), "wide")
    assert "\n" not in str(caught.value)
    unread = as_backbone(tiny_model("llama"), wider(sep_token="[SEP]"))
    assert unread.tokenizer.sep_token_id == 272  # no text becomes it
    asked = Vocabulary(unread.input_embeddings(), unread.tokenizer)
    with pytest.raises(ConfigError, match=r"token '\[SEP\]' has the id 272"):
        initialiser("text:[SEP]", asked)((2, 32), torch.Generator())


@pytest.mark.parametrize("config", ["T5Config", "GemmaConfig"])
def test_a_folder_without_its_tokenizer_is_refused(tmp_path, config):
    """Of these transformers makes one of special tokens alone, to which all words are unknown."""
    tiny_model("t5").save_pretrained(tmp_path)
    if config == "GemmaConfig":
        tiny_model("llama").save_pretrained(tmp_path)
        edited = json.loads((tmp_path / "config.json").read_text()) | {
            "model_type": "gemma", "architectures": ["GemmaForCausalLM"],
        }  # fmt: skip
        (tmp_path / "config.json").write_text(json.dumps(edited))
    with pytest.raises(ConfigError, match=r"the tokenizer of .* knows no words: save the model's"):
        load_backbone(tmp_path, device="cpu")


@pytest.mark.parametrize("family", ["cohere", "t5"])
def test_an_unknown_scale_of_the_logits_is_noticed(family, monkeypatch):
    monkeypatch.setattr(scoring, "LOGIT_SCALES", {})
    with pytest.raises(ConfigError, match=r"off \(relatively\) from those of its own forward pass"):
        tiny(family)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mpt", "phi3_long"])
def test_what_has_no_positions_is_refused(family):
    backbone = tiny(family)
    backbone.require_room(30, 32, 3, "less")
    with pytest.raises(ConfigError, match=r"need 65 positions, but .* has 64: less\."):
        backbone.require_room(30, 33, 3, "less")


def test_prompts_that_do_not_fit_are_refused():
    backbone, batch = tiny_llama(), tiny_batch()
    with pytest.raises(ConfigError, match=r"shape \[6, 31\], expected \[P, 32\]"):
        backbone.score(torch.zeros(6, 31), batch)
    with pytest.raises(ConfigError, match="bank of 3 prompts"):
        backbone.score(torch.zeros(3, 6, 32), batch)


def test_a_row_without_tokens_is_refused():
    with pytest.raises(InputError, match="a row has no tokens"):
        tiny_gpt2().score(None, tiny_batch(lengths=(3, 0)))


def test_seq2seq_models_need_a_mask_and_a_start():
    with pytest.raises(ConfigError, match="extra_id_0"):
        as_backbone(tiny_model("t5"), tiny_tokenizer(sentinels=False))
    model = tiny_model("t5")
    model.config.decoder_start_token_id = None
    with pytest.raises(ConfigError, match="decoder_start_token_id"):
        as_backbone(model, tiny_tokenizer())


# --- loading ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5_v1_1"])
def test_a_saved_model_loads_with_equal_scores(family, tmp_path):
    backbone = load_backbone(str(save_tiny(tmp_path, family)), dtype="float32", device="cpu")
    fresh, batch = tiny(family), tiny_batch("multi")
    prompt = tiny_prompt(fresh)
    assert backbone.kind == fresh.kind
    torch.testing.assert_close(backbone.score(prompt, batch), fresh.score(prompt, batch))


def test_dtype_and_attention_are_passed_on(tmp_path):
    folder = str(save_tiny(tmp_path))
    backbone = load_backbone(folder, dtype="bfloat16", attention="eager")
    assert backbone.dtype == torch.bfloat16
    assert backbone.model.config._attn_implementation == "eager"
    assert load_backbone(folder, device="cpu").dtype == torch.float32


def test_a_tokenizer_that_drops_merges_at_random_reads_a_text_always_alike():
    tokenizer = tiny_tokenizer()
    vocabulary = {**tokenizer.get_vocab(), "ab": 261, "abab": 262}
    merges = [("a", "b"), ("ab", "ab")]
    tokenizer.backend_tokenizer.model = BPE(vocabulary, merges, dropout=0.5)
    assert len({tuple(tokenizer("abab" * 9).input_ids) for _ in range(20)}) > 1
    as_backbone(tiny_model("llama"), tokenizer)
    assert {tuple(tokenizer("abab").input_ids) for _ in range(20)} == {(262,)}


def test_a_tokenizer_without_padding_gets_some():
    backbone = as_backbone(tiny_model("gpt2"), tiny_tokenizer(pad=False))
    assert backbone.tokenizer.pad_token_id == backbone.tokenizer.eos_token_id
    assert backbone.pad_id == backbone.tokenizer.eos_token_id
    assert backbone.tokenizer(["a", "abc"], padding=True)["input_ids"][0][1:] == [1, 1]
    bare = tiny_tokenizer(pad=False)
    bare.eos_token = None
    silent = as_backbone(tiny_model("gpt2"), bare)
    assert silent.tokenizer.pad_token is None  # else a letter would be special, and spelled out
    assert silent.pad_id == 0


def config_of(family, folder):
    getattr(transformers, f"{family}Config")().save_pretrained(folder)


def test_unsupported_model_types_are_named(tmp_path):
    for family, model_type in (("Bart", "bart"), ("ViT", "vit")):
        config_of(family, tmp_path / family)
        with pytest.raises(ConfigError, match=f"'{model_type}' is not supported.*Llama.*t5, mt5"):
            load_backbone(str(tmp_path / family))


def test_weights_for_another_task_are_refused(tmp_path):
    save_tiny(tmp_path, tie_word_embeddings=False)
    model = tiny_model("llama", tie_word_embeddings=False)
    model.model.save_pretrained(tmp_path)  # without the head
    with pytest.raises(InputError, match=r"lacks 1 of its weights, such as lm_head\.weight"):
        load_backbone(str(tmp_path))


def test_weights_of_another_config_are_told_in_one_line(tmp_path, capsys):
    save_tiny(tmp_path)
    config = tmp_path / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, "num_hidden_layers": 2, "layer_types": None}))
    capsys.readouterr()
    load_backbone(str(tmp_path))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: model ")
    assert "no place for 9 of the weights in its folder, such as model.layers.2." in line
    config.write_text(json.dumps({**values, "num_key_value_heads": 1}))
    with pytest.raises(InputError, match=r"self_attn.k_proj.weight \[16, 32\] for \[8, 32\]: take"):
        load_backbone(str(tmp_path))
    assert not capsys.readouterr().err


def broken(folder, name, content):
    save_tiny(folder)
    (folder / name).write_bytes(content)
    return str(folder)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("config.json", b"{", "cannot read config.json of model"),
        ("config.json", b'{"model_type": "nosuch"}', "cannot read config.json of model"),
        ("config.json", b'{"model_type": ["llama"]}', "cannot read config.json of model"),
        ("config.json", b'{"model_type": "llama", "hidden_size": "x"}', "cannot read "),
        ("config.json", b'{"model_type": "llama", "hidden_size": -1}', "cannot read "),
        ("config.json", b'{"a":' * 90000, "cannot read config.json of model"),
        ("config.json", b"[]", "cannot read config.json of model"),
        ("tokenizer_config.json", b'{"added_tokens_decoder": 3}', "cannot read the tokenizer"),
        ("model.safetensors", b"\xff" * 100, "cannot read the weights of model"),
        ("model.safetensors", b"nothing", "cannot read the weights of model"),
        ("tokenizer.json", b"{}", "cannot read the tokenizer of model"),
    ],
)
def test_broken_folders_give_one_line(name, content, says, tmp_path):
    with pytest.raises(InputError, match=says) as caught:
        load_backbone(broken(tmp_path, name, content))
    assert "\n" not in str(caught.value)


def test_wrong_names_give_one_line(tmp_path, monkeypatch):
    import huggingface_hub

    def unreachable(*_, **__):
        raise OSError("no route to host\nand much more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(InputError, match=r"no model folder '\./nosuch'.*smollm2-135m"):
        load_backbone("./nosuch")
    with pytest.raises(InputError, match="no model folder"):
        load_backbone(str(tmp_path / "nosuch"))
    with pytest.raises(UnknownNameError, match=r"Did you mean 'smollm2-135m'.*no route to host\)"):
        load_backbone("smolm2-135m")
    with pytest.raises(UnknownNameError, match="unknown dtype 'float3'"):
        load_backbone("x", dtype="float3")
    for device in ("nosuch", "meta", "", "cuda:77", "xla", "cpu:x"):
        with pytest.raises(PPTError, match=f"device '{device}' cannot be used") as caught:
            load_backbone("x", device=device)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x" * 5000, "/" + "x" * 300, "~nobody-here/x", "a\0b", "./\0"])
def test_names_that_are_no_paths_give_one_line(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(PPTError) as caught:
        load_backbone(name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize(
    ("dtype", "capabilities", "hinted"),
    [
        (torch.float32, {"amx_bf16": True}, True),
        (torch.bfloat16, {"amx_bf16": True}, False),
        (torch.float32, {"amx_bf16": False}, False),
        (torch.float32, {}, False),
    ],
)
def test_a_faster_precision_is_hinted_at(dtype, capabilities, hinted, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    backbone = tiny_llama()
    backbone.model.to(dtype)
    assert ("--dtype=bfloat16" in (dtype_hint(backbone) or "")) == hinted
