"""A label word that begins another: either can win, in every layout; other sets are left alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn.functional import cross_entropy
from transformers import PreTrainedTokenizerFast

from ppt.errors import ConfigError
from ppt.prompts.batches import collate, pack
from ppt.prompts.encoder import Encoder
from ppt.prompts.in_context import demonstrations
from ppt.prompts.patterns import Verbalizer, parse_pattern
from ppt.prompts.rendering import Renderer, label_words
from ppt.prompts.soft import Vocabulary, class_labels
from tests.test_backbones import reference
from tests.tiny import tiny, tiny_model, tiny_prompt, tiny_tokenizer

SETS = {
    "phrases": ("good", "good enough"),
    "characters": ("好", "好评", "好评如潮", "差"),
    "numbers": tuple(str(stars) for stars in range(1, 11)),
    "sciences": ("art", "physics", "art of war"),
    "letters": ("a", "ab", "b"),
}
PATTERNS = {"suffix": "{text_a}\n=> {mask}", "cloze": "{text_a} It was {mask}."}
PLACES = [("llama", True), ("llama", False), ("gpt2", True), ("bloom", True), ("t5", True)]
SENTENCES = ("the sea was calm", "we left", "a ship came in", "no")


def verbalizer(words):
    return Verbalizer({word: word for word in words})


def rendered(backbone, words):
    layout = backbone.layout
    return Renderer(
        parse_pattern(PATTERNS[layout], layout), verbalizer(words), backbone.tokenizer, 64
    )


def batch_of(backbone, words, label=0):
    renderer = rendered(backbone, words)
    rows = pack(renderer.rows(iter([{"text_a": text, "label": label} for text in SENTENCES])))
    return collate(rows, np.arange(len(SENTENCES)), renderer.words(), backbone.pad_id)


def spelled(tokenizer, words):
    return [
        [tokenizer.convert_ids_to_tokens(i) for i in ids[:length]]
        for ids, length in zip(words.ids.tolist(), words.lengths.tolist(), strict=True)
    ]


# --- what ends a word ---------------------------------------------------------------------


@pytest.mark.parametrize(("layout", "end"), [("suffix", "Ċ"), ("cloze", "<extra_id_1>")])
@pytest.mark.parametrize("name", SETS)
def test_each_word_of_a_set_gets_the_same_end(name, layout, end):
    pattern, tokenizer = parse_pattern(PATTERNS[layout], layout), tiny_tokenizer()
    words = label_words(verbalizer(SETS[name]), pattern, tokenizer)
    assert words.end == 1
    for word, tokens in zip(SETS[name], spelled(tokenizer, words), strict=True):
        assert tokens[-1] == end
        ids = tokenizer.convert_tokens_to_ids(tokens[:-1])
        assert tokenizer.decode(ids).strip() == word
    assert words.to("cpu").end == 1


@pytest.mark.parametrize("layout", PATTERNS)
@pytest.mark.parametrize("words", [("bad", "good"), ("no", "maybe", "yes"), ("ab", "ac", "b")])
def test_sets_without_such_words_have_their_own_tokens_alone(words, layout):
    pattern, tokenizer = parse_pattern(PATTERNS[layout], layout), tiny_tokenizer()
    made = label_words(verbalizer(words), pattern, tokenizer)
    assert made.end == 0
    assert ["".join(tokens).replace("Ġ", " ").strip() for tokens in spelled(tokenizer, made)] == [
        *words
    ]


def test_a_text_ends_where_a_line_feed_does_not_tell():
    pattern, tokenizer = parse_pattern(PATTERNS["suffix"], "suffix"), tiny_tokenizer()
    words = label_words(verbalizer(("no", "no\nway")), pattern, tokenizer)
    assert [tokens[-1] for tokens in spelled(tokenizer, words)] == ["</s>", "</s>"]


def test_where_nothing_ends_a_word_both_are_named():
    vocabulary = {word: i for i, word in enumerate(["a", "good", "enough", "?"])}
    core = Tokenizer(models.WordLevel(vocabulary, "?"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="?")
    pattern = parse_pattern("{text_a} {mask}", "suffix")
    with pytest.raises(ConfigError, match="'good' begins 'good enough'") as caught:
        label_words(verbalizer(("good enough", "good")), pattern, tokenizer)
    assert "\n" not in str(caught.value)
    assert label_words(verbalizer(("enough", "good")), pattern, tokenizer).single


# --- scores -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("family", "shared"), PLACES)
def test_scores_are_those_of_the_word_and_its_end(family, shared, name):
    backbone = tiny(family, shared_prefix=shared)
    batch = batch_of(backbone, SETS[name])
    prompt = tiny_prompt(backbone).detach()
    for before in (prompt, None):
        with torch.no_grad():
            expected = reference(backbone, tiny_model(family), before, batch, full_vocabulary=True)
            scores = backbone.score(before, batch)
        torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("label", range(3))
@pytest.mark.parametrize(("family", "shared"), PLACES)
def test_any_word_wins_where_a_prompt_asks_for_it(family, shared, label):
    backbone = tiny(family, shared_prefix=shared)
    batch = batch_of(backbone, SETS["letters"], label)
    prompt = tiny_prompt(backbone, length=8)
    learn(backbone, batch, [prompt], prompt, rate=0.3)
    assert backbone.score(prompt, batch).argmax(1).tolist() == [label] * len(batch)


@pytest.mark.parametrize("label", range(4))
@pytest.mark.parametrize(("family", "shared"), PLACES)
def test_any_word_wins_where_the_model_prefers_it(family, shared, label):
    backbone = tiny(family, shared_prefix=shared)
    batch = batch_of(backbone, SETS["characters"], label)
    weights = list(backbone.model.requires_grad_().parameters())
    learn(backbone, batch, weights, None, rate=0.01)
    assert backbone.score(None, batch).argmax(1).tolist() == [label] * len(batch)


def learn(backbone, batch, trained, prompt, rate):
    """Take steps until all rows give their label."""
    optimizer = torch.optim.Adam(trained, rate)
    for _ in range(300):
        scores = backbone.score(prompt, batch)
        if bool((scores.argmax(1) == batch.labels).all()):
            return
        optimizer.zero_grad()
        cross_entropy(scores, batch.labels).backward()
        optimizer.step()


def test_without_an_end_the_longer_word_never_wins():
    """What was wrong: a product with the shorter word's tokens is never the higher one."""
    backbone = tiny("llama")
    batch = batch_of(backbone, ("a", "ab"), label=1)
    words = replace(batch.words, ids=batch.words.ids[:, :-1], lengths=batch.words.lengths - 1)
    prompt = tiny_prompt(backbone, length=8)
    learn(backbone, batch, [prompt], prompt, rate=0.3)
    with torch.no_grad():
        ended, bare = (
            backbone.score(prompt, given) for given in (batch, replace(batch, words=words))
        )
    assert (ended[:, 1] > ended[:, 0]).all()
    assert (bare[:, 1] < bare[:, 0]).all()


# --- where words are used otherwise -------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "says"),
    [
        ("llama", "no\n=> good\n\n\nwe left\n=> good enough\n\n\n"),
        ("t5", "no It was good.\n\nwe left It was good enough.\n\n"),
    ],
)
def test_demonstrations_show_whole_words(family, says):
    backbone = tiny(family)
    renderer = rendered(backbone, SETS["phrases"])
    rows = pack(
        renderer.rows(
            iter([{"text_a": "no", "label": 0}, {"text_a": "we left", "label": 1}]),
        )
    )
    encoder, layout = Encoder.of(backbone.tokenizer), backbone.layout
    shown = demonstrations(rows, renderer.words(), encoder, layout, 200)
    assert shown.count == 2
    assert backbone.tokenizer.decode(shown.ids) == says


def test_prompts_that_begin_as_label_words_begin_without_their_end():
    backbone = tiny("llama")
    words = rendered(backbone, SETS["phrases"]).words()
    table = backbone.input_embeddings()
    made = class_labels(Vocabulary(table, backbone.tokenizer, words))
    prompt = made((2, 32), torch.Generator())
    own = [ids[: length - 1] for ids, length in zip(words.ids, words.lengths, strict=True)]
    expected = torch.stack([table[ids].mean(0) for ids in own])
    torch.testing.assert_close(prompt, expected)
