"""The settings of Lester et al. 2021, section 2.2: what the decoder says before label words."""

import json

import pytest
import torch

from ppt.backbones.fresh import train_tokenizer, wrapped
from ppt.backbones.loading import as_backbone
from ppt.errors import ConfigError, UnknownNameError
from ppt.fewshot.__main__ import main as fewshot
from ppt.prompts.batches import collate, pack
from ppt.prompts.encoder import mask_id
from ppt.prompts.files import Prompt
from ppt.prompts.patterns import TARGETS, Verbalizer, parse_pattern
from ppt.prompts.rendering import Renderer, label_words
from ppt.transfer.library import serves
from tests import test_fewshot
from tests.few import toy_place
from tests.tiny import tiny, tiny_model

ROWS = [{"text_a": text, "label": i} for i, text in enumerate(["it rained", "we ran home"])]


@pytest.fixture(scope="module")
def tokenizer():
    return wrapped(train_tokenizer(["it rained and we ran home to tea"] * 9, 370, sentinels=True))


@pytest.fixture
def backbone(tokenizer):
    model = tiny_model("t5", vocab_size=370, relative_attention_max_distance=64)
    return as_backbone(model, tokenizer, "tiny t5")


@pytest.mark.parametrize("target", TARGETS)
def test_label_words_are_as_likely_as_the_model_says_them(backbone, tokenizer, target):
    backbone.aim_at(target)
    renderer = Renderer.standard("sentiment", backbone.layout, "hard", tokenizer, 120)
    rows, words = pack(renderer.rows(iter(ROWS))), renderer.words()
    batch = collate(rows, torch.arange(2).numpy(), words)
    mask, end = mask_id(tokenizer), tokenizer.eos_token_id
    before = {"cloze": [mask], "sentinel": [mask], "word": []}[target]
    scores = backbone.score(None, batch, full_vocabulary=True)
    for row, own in enumerate(scores):
        ids = batch.input_ids[row, : int(batch.attention_mask[row].sum())]
        assert (mask in ids.tolist()) == (target == "cloze")
        assert int(ids[-1]) == end
        for label, length in enumerate(words.lengths.tolist()):
            word = words.ids[label, :length]
            labels = torch.cat([torch.tensor(before, dtype=torch.long), word])[None]
            logits = backbone.model(ids[None], labels=labels).logits[0, len(before) :]
            expected = logits.log_softmax(-1).gather(1, word[:, None]).sum()
            assert float(own[label]) == pytest.approx(float(expected), abs=1e-3, rel=1e-4)


def test_texts_without_a_mask_are_those_of_causal_models(backbone, tokenizer):
    shown = {}
    for target in TARGETS:
        renderer = Renderer.standard("sentiment", target, "hard", tokenizer, 120)
        shown[target] = tokenizer.decode(next(renderer.rows(iter(ROWS))).ids)
    assert shown["cloze"] == "it rained It was<extra_id_0>.</s>"
    assert shown["word"] == shown["sentinel"]
    assert shown["word"].endswith("the reviewer describes it as</s>")


def test_words_that_begin_others_end_as_the_target_has_it(tokenizer):
    ends = {}
    for target in TARGETS:
        pattern = parse_pattern("{text_a} It was {mask}", target)
        words = label_words(Verbalizer({"a": "tea", "b": "tea home"}), pattern, tokenizer)
        ends[target] = tokenizer.decode(words.ids[0, int(words.lengths[0]) - 1])
    assert ends == {"cloze": "<extra_id_1>", "sentinel": "<extra_id_1>", "word": "</s>"}


def test_what_has_no_target_says_so():
    with pytest.raises(ConfigError, match="--target word is for encoder-decoders"):
        tiny("llama").aim_at("word")
    with pytest.raises(UnknownNameError, match="Did you mean 'word'"):
        tiny("t5").aim_at("words")
    with pytest.raises(ConfigError, match=r"ends with \{mask\}"):
        parse_pattern("{text_a} {mask}.", "word")


def test_a_prompt_serves_only_the_target_that_it_was_trained_for():
    card = {"format": "sentiment", "style": "soft", "layout": "word"}
    prompt = Prompt(card, tensor=torch.zeros(2, 4))
    assert serves(prompt, "sentiment", "soft", target="word")
    assert not serves(prompt, "sentiment", "soft")
    assert serves(Prompt({**card, "layout": "suffix"}, tensor=prompt.tensor), "sentiment", "soft")


def test_a_grid_of_another_target_is_another_grid(tmp_path):
    toy_place(tmp_path)
    for target in ("cloze", "word"):
        argv = test_fewshot.flags(
            tmp_path, tmp_path / target, "t5", target=target, max_steps=2, prompt=None,
            methods="zero_shot,in_context,prompt_tuning",
        )  # fmt: skip
        assert fewshot(argv) == 0
    rows = [json.loads((tmp_path / target / "results.jsonl").read_text().splitlines()[0])
            for target in ("cloze", "word")]  # fmt: skip
    assert rows[0]["run"] != rows[1]["run"]
