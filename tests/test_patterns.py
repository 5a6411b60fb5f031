"""Patterns as text (golden), and the laws of rendering for any text and tokenizer."""

import itertools
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from tokenizers.processors import TemplateProcessing
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast, T5Tokenizer

from ppt.corpus.formats import FORMATS
from ppt.errors import ConfigError, InputError, UnknownNameError
from ppt.prompts.encoder import Encoder, mask_id
from ppt.prompts.patterns import (
    LETTERS,
    PATTERNS,
    Field,
    Pattern,
    Verbalizer,
    parse_pattern,
    rendered_text,
    standard_pattern,
    standard_verbalizer,
)
from ppt.prompts.rendering import Renderer, label_words, water_fill

TRAINING_TEXT = [
    "The film was good, the sea was terrible and maybe the ship was bad. Yes, no; great!",
    "Question: which came first? A. The ship. B. The sea. C. No. Answer: The correct one is A.",
    "It was => maybe yes no good great bad terrible A B C D E F G H I J K L M N O P",
    "Choices: one two three four five six seven eight nine ten, and on it goes 1234567890.",
]


def render_batch(rows, pattern, tokenizer, limit):
    return Renderer(pattern, standard_verbalizer("unified"), tokenizer, limit).rows(rows)


def render(row, pattern, tokenizer, limit):
    return next(render_batch([row], pattern, tokenizer, limit))


def byte_level_bpe(start=()):
    """GPT-2's kind; Llama 3's where `start` holds a BOS. `unk` is also BOS and EOS, as in GPT-2."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|im_end|>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TRAINING_TEXT * 5, trainer)
    if start:
        tokenizer.post_processor = TemplateProcessing(
            single=[*start, "$A", "</s>"], special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<|im_end|>",
        eos_token="<|im_end|>",
        bos_token="<s>" if start else "<|im_end|>",
        extra_special_tokens=["</s>"],
    )


def llama_2():
    """A BPE as sentencepiece makes them: no pre-tokenizer, `▁` for spaces, bytes for the rest."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=160, show_progress=False)
    trained.train_from_iterator(TRAINING_TEXT * 5, trainer)
    learned = json.loads(trained.to_str())["model"]
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocabulary = {piece: i for i, piece in enumerate([*names, *learned["vocab"]])}
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def unigram_pieces():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=180, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TRAINING_TEXT * 5, trainer)
    kept = {tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())} - {"<unk>"}
    return [(piece, -float(len(kept)) / len(piece)) for piece in sorted(kept | {"▁"})]


def t5():
    """T5's own class: the Unigram model itself knows the sentinels and `</s>`, and likes them."""
    head = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    tail = [(f"<extra_id_{i}>", 0.0) for i in reversed(range(100))]
    tokenizer = T5Tokenizer(vocab=head + unigram_pieces() + tail)
    tokenizer.backend_tokenizer.normalizer = normalizers.NFKC()
    return tokenizer


def mt5():
    """mT5's: sentinels are ordinary words with a space before them, and nothing is added."""
    head = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    tail = [(f"▁<extra_id_{i}>", 0.0) for i in reversed(range(100))]
    tokenizer = Tokenizer(models.Unigram(head + unigram_pieces() + tail, unk_id=2))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>", pad_token="<pad>"
    )


def word_level():
    """Whole words, most of them unknown; a text that *is* a special token's name finds it."""
    words = sorted({word for text in TRAINING_TEXT for word in re.findall(r"\w+|\W", text)})
    names = ["<unk>", "<cls>", "<mask>", "</s>", "<extra_id_7>"]
    tokenizer = Tokenizer(
        models.WordLevel(
            {w: i for i, w in enumerate(dict.fromkeys([*names, *words, "a"]))}, "<unk>"
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single="<cls> $A </s>", special_tokens=[("<cls>", 1), ("</s>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        cls_token="<cls>",
        sep_token="</s>",
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
    )


TOKENIZERS = {
    "t5": (t5(), "cloze"),
    "mt5": (mt5(), "cloze"),
    "byt5": (ByT5Tokenizer(), "cloze"),
    "words": (word_level(), "cloze"),
    "gpt2": (byte_level_bpe(), "suffix"),
    "llama3": (byte_level_bpe(start=["<s>"]), "suffix"),
    "llama2": (llama_2(), "suffix"),
}
PAIR = {"text_a": "The sea was calm.", "text_b": "The ship left.", "options": [], "label": 2}
CHOICE = {"text_a": "Who left", "text_b": None, "options": ["A ship", "It {was}"], "label": 0}
SINGLE = {"text_a": "I liked it.", "text_b": None, "options": [], "label": 4}
MIXED = {**PAIR, "options": ["no", "maybe", "yes"]}

GOLDEN = {
    ("sentence_pair", "cloze", "soft"): "The sea was calm. <X> The ship left.",
    ("sentence_pair", "cloze", "hard"): "The sea was calm.? <X>. The ship left.",
    ("sentence_pair", "suffix", "soft"): "The sea was calm.\nThe ship left.\n=> <X>",
    (
        "sentence_pair",
        "suffix",
        "hard",
    ): "The ship left.\nQuestion: The sea was calm.?\nAnswer: <X>",
    ("sentiment", "cloze", "soft"): "I liked it. <X>",
    ("sentiment", "cloze", "hard"): "I liked it. It was <X>.",
    ("sentiment", "suffix", "soft"): "I liked it.\n=> <X>",
    ("sentiment", "suffix", "hard"): (
        "Review: I liked it.\nIn one word, the reviewer describes it as <X>"
    ),
    (
        "multiple_choice",
        "cloze",
        "soft",
    ): "Who left? A. A ship. B. It {was}. The correct one is <X>",
    ("multiple_choice", "cloze", "hard"): (
        "Question: Who left? A. A ship. B. It {was}. The correct one is <X>."
    ),
    ("multiple_choice", "suffix", "soft"): (
        "Who left\nA. A ship\nB. It {was}\nThe correct one is <X>"
    ),
    ("multiple_choice", "suffix", "hard"): (
        "Question: Who left\nChoices:\nA. A ship\nB. It {was}\nAnswer: <X>"
    ),
    ("unified", "cloze", "soft"): (
        "The sea was calm.? The ship left.. A. no. B. maybe. C. yes. The correct one is <X>"
    ),
    ("unified", "cloze", "hard"): (
        "The ship left. Question: The sea was calm.? A. no. B. maybe. C. yes."
        " The correct one is <X>."
    ),
    ("unified", "suffix", "soft"): (
        "The sea was calm.\nThe ship left.\nA. no\nB. maybe\nC. yes\nThe correct one is <X>"
    ),
    ("unified", "suffix", "hard"): (
        "The ship left.\nQuestion: The sea was calm.?\nChoices:\n"
        "A. no\nB. maybe\nC. yes\nAnswer: <X>"
    ),
}
ROWS = {
    "sentence_pair": PAIR,
    "sentiment": SINGLE,
    "multiple_choice": CHOICE,
    "unified": MIXED,
}


@pytest.mark.parametrize("key", GOLDEN, ids="-".join)
def test_golden_text(key):
    assert rendered_text(ROWS[key[0]], standard_pattern(*key)) == GOLDEN[key]


def test_the_golden_texts_are_all_patterns():
    every = itertools.product(FORMATS, ("cloze", "suffix"), ("soft", "hard"))
    assert set(GOLDEN) == set(every)
    for name, layout in itertools.product(FORMATS, ("cloze", "suffix")):
        hybrid, hard = (standard_pattern(name, layout, style) for style in ("hybrid", "hard"))
        assert hybrid == hard  # one set of hard words
    assert set(PATTERNS) == {*FORMATS, "unified_pair"}


def test_kinds_choose_the_form_and_rows_without_one_are_pairs_by_their_second_text():
    pattern = standard_pattern("unified", "suffix", "soft")
    pair, choice = pattern.kinds["pair"], pattern
    assert pattern.kinds.keys() == {"pair"}
    for kind, form in (("pair", pair), ("choice", choice), ("sentiment", choice), (None, pair)):
        assert pattern.form({**MIXED, "kind": kind}) is form
    assert pattern.form(MIXED) is pair
    assert pattern.form(CHOICE) is choice
    alone = standard_pattern("sentence_pair", "suffix", "soft")
    assert alone.form({**PAIR, "kind": "pair"}) is alone


@pytest.mark.parametrize("layout", ["cloze", "suffix"])
@pytest.mark.parametrize("style", ["soft", "hybrid", "hard"])
def test_unified_rows_without_a_pair_look_like_multiple_choice(layout, style):
    unified, choice = (standard_pattern(f, layout, style) for f in ("unified", "multiple_choice"))
    assert rendered_text(CHOICE, unified) == rendered_text(CHOICE, choice)
    assert unified.kinds["pair"].space == unified.space  # one verbalizer serves both forms
    assert unified.kinds["pair"].before[-1] == unified.before[-1]


def test_parsing():
    parsed = parse_pattern("{text_a} is {{x}} {options:lines} {mask}!")
    assert parsed.after == ("!",)
    assert parsed.space == " "
    assert parsed.fill({"text_a": "It", "A": "one", "B": "two"}) == (
        "It is {x} A. one\nB. two",
        "!",
    )
    assert parse_pattern("{text_a}：{mask}", "suffix") == Pattern(
        before=(Field("text_a"), "："), space="", layout="suffix"
    )


@pytest.mark.parametrize(
    ("text", "layout", "message"),
    [
        ("{text_a}", "cloze", "got 0 masks"),
        ("{mask} {text_a} {mask}", "cloze", "got 2 masks"),
        ("{text_c} {mask}", "cloze", "got {text_c}: expected one of {mask}, {text_a}"),
        ("{text_a!r} {mask}", "cloze", "got {text_a!r}"),
        ("{text_a:>9} {mask}", "cloze", "got {text_a:>9}"),
        ("{options:rows} {mask}", "cloze", "got {options:rows}"),
        ("{} {mask}", "cloze", "got {}"),
        ("{text_a} {mask} }", "cloze", "A literal brace is written twice"),
        ("{text_a} {mask", "cloze", "A literal brace is written twice"),
        ("It was {mask}.", "cloze", "shows nothing of the example"),
        ("{text_a} It was {mask}.", "suffix", "ends with {mask}"),
        ("{text_a} It was {mask} ", "suffix", "ends with {mask}"),
    ],
)
def test_bad_patterns_are_explained(text, layout, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_pattern(text, layout)


def test_unknown_names():
    for wrong in (
        ("pairs", "cloze", "soft"),
        ("unified", "close", "soft"),
        ("unified", "cloze", "so"),
    ):
        with pytest.raises(UnknownNameError, match="Known: "):
            standard_pattern(*wrong)
    with pytest.raises(UnknownNameError):
        parse_pattern("{text_a} {mask}", "prefix")
    with pytest.raises(UnknownNameError):
        standard_verbalizer("pair")


@pytest.mark.parametrize(
    ("pattern", "row", "message"),
    [
        ("{text_a} {text_b} {mask}", SINGLE, "text_b is None"),
        ("{text_a} {options} {mask}", SINGLE, "of 0 options"),
        ("{text_a} {options} {mask}", {**CHOICE, "label": 2}, "label 2 of 2 options"),
        ("{text_a} {options} {mask}", {**CHOICE, "options": ["x"] * 17}, "17 options"),
        ("{text_a} {options} {mask}", {**CHOICE, "options": ["x", None]}, "B is None"),
    ],
)
def test_rows_that_do_not_fit_the_pattern_are_explained(pattern, row, message):
    with pytest.raises(InputError, match=message):
        render(row, parse_pattern(pattern), TOKENIZERS["t5"][0], 64)


LITERALS = [
    "<extra_id_0>",
    "<cls>",
    "</s>",
    "<|im_end|>",
    "<mask>",
    "<s>",
    "<pad>",
    "<extra_id_7>",
    "<unk>",
]
characters = st.characters(exclude_categories=["Cs"])
texts = st.one_of(
    st.text(characters, max_size=30),
    st.lists(st.sampled_from([*LITERALS, "＜extra_id_0＞", " ", "x"]), max_size=12).map("".join),
    st.lists(st.sampled_from(TRAINING_TEXT[0].split()), max_size=25).map(" ".join),
    st.builds(lambda s, n: s * n, st.text(characters, min_size=1, max_size=3), st.integers(0, 90)),
    st.sampled_from(
        [
            "",
            " ",
            "\n\n",
            "👩‍👩‍👧‍👦" * 9,
            "שלום עולם " * 7,
            "e\u0301" * 30,
            "\x00\u200b\ufeff",
            "。",
        ]
    ),
)


@st.composite
def examples(draw, format_name):
    numbers = {"multiple_choice": st.just(6), "unified": st.integers(2, 16)}
    options = draw(
        numbers.get(format_name, st.just(0)).flatmap(
            lambda n: st.lists(texts, min_size=n, max_size=n)
        )
    )
    paired = format_name == "sentence_pair" or (format_name == "unified" and draw(st.booleans()))
    return {
        "text_a": draw(texts),
        "text_b": draw(texts) if paired else None,
        "options": options,
        "label": draw(st.integers(0, max(len(options) - 1, 0))),
    }


FRAMES = {
    "t5": ([], [1]),
    "mt5": ([], [1]),
    "byt5": ([], [1]),
    "words": ([1], [3]),
    "gpt2": ([], []),
    "llama3": ([1], [2]),
    "llama2": ([1], []),
}
MASKS = {"t5": "<extra_id_0>", "mt5": "▁<extra_id_0>", "byt5": "<extra_id_0>", "words": "<mask>"}


def special_ids(name):
    """Ids that no text may turn into, from each tokenizer's definition above."""
    tokenizer, _ = TOKENIZERS[name]
    vocabulary = tokenizer.get_vocab()
    names = {*LITERALS, *(f"▁<extra_id_{i}>" for i in range(100))} - {"<unk>"}
    return {vocabulary[n] for n in names if n in vocabulary}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_what_a_tokenizer_puts_around_a_text_is_found(name):
    tokenizer, _ = TOKENIZERS[name]
    encoder = Encoder.of(tokenizer)
    assert (encoder.start, encoder.end) == FRAMES[name]
    assert special_ids(name) <= encoder.special
    assert name not in MASKS or mask_id(tokenizer) == tokenizer.get_vocab()[MASKS[name]]


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("format_name", FORMATS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_rendered_example_keeps_the_laws(name, format_name, data):
    tokenizer, layout = TOKENIZERS[name]
    pattern = standard_pattern(
        format_name, layout, data.draw(st.sampled_from(["soft", "hybrid", "hard"]))
    )
    rows = data.draw(st.lists(examples(format_name), min_size=1, max_size=4))
    limit = data.draw(st.integers(8, 400))
    empty = [
        {**row, "text_a": "", "text_b": row["text_b"] and "", "options": [""] * len(row["options"])}
        for row in rows
    ]
    least = [r.ids for r in render_batch(empty, pattern, tokenizer, 10**6)]
    whole = list(render_batch(rows, pattern, tokenizer, 10**6))
    if any(len(short) > limit < len(full.ids) for short, full in zip(least, whole, strict=True)):
        with pytest.raises(ConfigError, match=f"at most {limit} tokens are allowed"):
            list(render_batch(rows, pattern, tokenizer, limit))
        return

    rendered = list(render_batch(rows, pattern, tokenizer, limit))
    assert [render(row, pattern, tokenizer, limit) for row in rows] == rendered
    start, end = FRAMES[name]
    for row, full, got in zip(rows, whole, rendered, strict=True):
        assert len(got.ids) <= limit
        assert got.cut == (len(full.ids) > limit)
        assert got.cut or got == full
        assert (got.label, got.options) == (row["label"], len(row["options"]))
        assert got.ids[: len(start)] == start
        body = got.ids[len(start) :]
        if layout == "cloze":
            mask = mask_id(tokenizer)
            assert body[len(body) - len(end) :] == end
            body = body[: len(body) - len(end)]
            assert body.count(mask) == 1
            body.remove(mask)
        assert not special_ids(name) & set(body)
        if layout == "suffix":  # the literal before the mask is whole, and nothing follows it
            assert tokenizer.decode(got.ids).endswith(pattern.before[-1])


@pytest.mark.parametrize("name", ["gpt2", "byt5"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_cutting_keeps_every_option_and_is_fair(name, data):
    """Byte tokenizers decode to what was rendered, so that each cell can be read back."""
    tokenizer, layout = TOKENIZERS[name]
    pattern = parse_pattern("Q: {text_a}\n{options:lines}\nAnswer: {mask}", layout)
    one_line = texts.map(lambda text: re.sub(r"\s", "_", text).replace("\ufffd", "_"))
    options = data.draw(st.lists(one_line, min_size=2, max_size=16))
    row = {"text_a": data.draw(one_line), "text_b": None, "options": options, "label": 1}
    limit = data.draw(st.integers(120, 260))
    got = render(row, pattern, tokenizer, limit)
    added = {mask_id(tokenizer), *FRAMES[name][1]} if layout == "cloze" else set()
    text = tokenizer.decode([token for token in got.ids if token not in added])
    question, *lines, answer = text.split("\n")
    assert answer.rstrip() == "Answer:"
    assert len(lines) == len(options)

    heads = ["Q: ", *(f"{letter}. " for letter in LETTERS)]
    sizes = []
    for head, line, whole in zip(
        heads, [question, *lines], [row["text_a"], *options], strict=False
    ):
        assert line.startswith(head)
        kept = line.removeprefix(head)
        assert whole.startswith(kept)
        encoded = tokenizer([kept, whole], add_special_tokens=False, split_special_tokens=True)
        sizes.append(tuple(map(len, encoded.input_ids)))
    assert got.cut or all(kept == whole for kept, whole in sizes)
    if not tokenizer.is_fast:  # without offsets the cuts are fair on average only
        return
    # "Nearly", as a character of up to 4 tokens is kept or dropped as one.
    level = max((kept for kept, whole in sizes if kept < whole), default=10**6)
    assert all(kept >= level - 4 if kept < whole else whole <= level + 5 for kept, whole in sizes)
    assert not got.cut or limit - len(got.ids) <= 5 * len(sizes)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_text_that_spells_special_tokens_stays_text(name):
    tokenizer, layout = TOKENIZERS[name]
    pattern = standard_pattern("sentiment", layout, "soft")
    evil = "".join(f"x {literal} " for literal in LITERALS) + "＜extra_id_0＞"
    ids = render({**SINGLE, "text_a": evil}, pattern, tokenizer, 512).ids
    start, end = FRAMES[name]
    specials = [token for token in ids if token in special_ids(name)]
    assert specials == start + ([mask_id(tokenizer), *end] if layout == "cloze" else [])
    letters = re.sub(r"[▁Ġ ]", "", "".join(tokenizer.convert_ids_to_tokens(ids)))
    assert name == "words" or "ext" in letters.replace("<unk>", "ext")


def test_uncut_rows_are_tokenised_as_their_whole_text():
    for name, (tokenizer, layout) in TOKENIZERS.items():
        if name in {"words", "mt5"}:  # their masks do not stand as text in a text
            continue
        for format_name, style in itertools.product(FORMATS, ("soft", "hybrid", "hard")):
            pattern, row = standard_pattern(format_name, layout, style), ROWS[format_name]
            text = rendered_text(row, pattern)
            text = (
                text.replace("<X>", "<extra_id_0>")
                if layout == "cloze"
                else text.removesuffix(" <X>")
            )
            whole = tokenizer(text, add_special_tokens=True).input_ids
            end = FRAMES[name][1] if layout == "suffix" else []
            if name == "byt5":  # the space before the mask is a token there; ours goes to the word
                del whole[whole.index(mask_id(tokenizer)) - 1]
            assert render(row, pattern, tokenizer, 512).ids == whole[: len(whole) - len(end)]


def test_too_little_room_names_the_need():
    tokenizer, layout = TOKENIZERS["gpt2"]
    pattern = standard_pattern("multiple_choice", layout, "soft")
    row = {**CHOICE, "text_a": "the sea " * 30}
    with pytest.raises(ConfigError, match=r"at most 5 tokens .* take \d+") as caught:
        render(row, pattern, tokenizer, 5)
    need = int(re.search(r"take (\d+)", str(caught.value))[1])
    assert len(render(row, pattern, tokenizer, need).ids) == need
    with pytest.raises(ConfigError):
        render(row, pattern, tokenizer, need - 1)


@pytest.mark.parametrize("name", ["t5", "mt5"])
def test_texts_that_grow_when_spelled_out_still_fill_the_room(name):
    tokenizer, layout = TOKENIZERS[name]
    pattern = standard_pattern("sentiment", layout, "soft")
    row = {**SINGLE, "text_a": "<extra_id_0> " * 200}
    assert 50 <= len(render(row, pattern, tokenizer, 64).ids) <= 64


def test_many_rows_are_rendered_lazily_and_in_order(monkeypatch):
    monkeypatch.setattr("ppt.prompts.rendering.ROWS_AT_ONCE", 3)
    tokenizer, layout = TOKENIZERS["t5"]
    pattern = standard_pattern("sentiment", layout, "soft")
    endless = ({**SINGLE, "label": n} for n in itertools.count())
    labels = [
        row.label for row in itertools.islice(render_batch(endless, pattern, tokenizer, 32), 10)
    ]
    assert labels == list(range(10))
    assert list(render_batch([], pattern, tokenizer, 32)) == []


@given(st.lists(st.integers(0, 40), max_size=20), st.integers(-5, 300))
def test_water_fill(lengths, room):
    shares = water_fill(lengths, room)
    assert sum(shares) == min(max(room, 0), sum(lengths))
    cut = [share for share, length in zip(shares, lengths, strict=True) if share < length]
    whole = [share for share, length in zip(shares, lengths, strict=True) if share == length]
    assert max(cut, default=0) - min(cut, default=0) <= 1
    assert not cut or all(length <= max(cut) for length in whole) or max(whole) <= min(cut) + 1


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("format_name", FORMATS)
def test_label_words_are_the_tokens_at_the_mask(name, format_name):
    tokenizer, layout = TOKENIZERS[name]
    pattern = standard_pattern(format_name, layout, "hybrid")
    if name == "words" and format_name == "unified":
        pattern = parse_pattern("{text_a} {options} {mask}", layout)
    verbalizer = standard_verbalizer(format_name)
    words = label_words(verbalizer, pattern, tokenizer)
    assert words.ids.shape == (len(FORMATS[format_name].words), int(words.lengths.max()))
    for word, ids, length in zip(verbalizer.words, words.ids, words.lengths, strict=True):
        assert (ids[length:] == 0).all()
        assert tokenizer.decode(ids[:length]).strip() == word
    if layout == "suffix":  # text and word together are what the whole text would be
        row = ROWS[format_name]
        text = rendered_text(row, pattern)
        for word, ids, length in zip(verbalizer.words, words.ids, words.lengths, strict=True):
            whole = tokenizer(text.replace("<X>", word)).input_ids
            ends = FRAMES[name][1]
            ours = render(row, pattern, tokenizer, 512).ids + ids[:length].tolist()
            assert ours == whole[: len(whole) - len(ends)]


def test_words_of_one_and_of_many_tokens():
    tokenizer, layout = TOKENIZERS["gpt2"]
    pattern = standard_pattern("sentiment", layout, "soft")
    assert label_words(Verbalizer({"0": "bad", "1": "good"}), pattern, tokenizer).single
    longer = label_words(Verbalizer({"0": "bad", "1": "quite good"}), pattern, tokenizer)
    assert not longer.single
    assert longer.ids[0, 1:].eq(0).all()


@pytest.mark.parametrize("word", ["", " ", " good", "good\n"])
def test_empty_and_padded_words_are_refused(word):
    with pytest.raises(ConfigError, match="label 'pos'"):
        Verbalizer({"neg": "bad", "pos": word})
    with pytest.raises(ConfigError, match="two labels at least"):
        Verbalizer({"pos": "good"})


def test_words_that_tokenise_alike_are_refused_by_name():
    pattern = standard_pattern("sentiment", "cloze", "soft")
    with pytest.raises(ConfigError, match=r"labels 'neg' and 'pos'.*'the１' and 'the1'"):
        label_words(Verbalizer({"neg": "the１", "pos": "the1"}), pattern, TOKENIZERS["t5"][0])
    with pytest.raises(ConfigError, match="no tokens"):
        label_words(
            Verbalizer({"neg": "bad", "pos": "\u200b\u200b"}), pattern, removes_everything()
        )


@pytest.mark.parametrize("name", ["t5", "mt5", "words"])
def test_words_that_the_tokenizer_does_not_know_are_refused(name):
    pattern = parse_pattern("{text_a} {mask}")
    for word in ("\u597d", "no \u597d"):
        with pytest.raises(ConfigError, match=f"the word '{word}' of label 'pos' has signs that"):
            label_words(Verbalizer({"neg": "no", "pos": word}), pattern, TOKENIZERS[name][0])


def removes_everything():
    """A tokenizer whose normaliser drops zero-width spaces."""
    tokenizer = t5()
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("\u200b", "")
    return tokenizer


@pytest.mark.parametrize(
    "text", ["{mask} {text_a}", "{text_a}{mask}", "({mask}) {text_a}", "{text_a} {mask}"]
)
def test_words_at_odd_places(text):
    for name in ("t5", "byt5", "words"):
        words = label_words(
            Verbalizer({"0": "no", "1": "yes"}), parse_pattern(text), TOKENIZERS[name][0]
        )
        decoded = [
            TOKENIZERS[name][0].decode(ids[:n]).strip()
            for ids, n in zip(words.ids, words.lengths, strict=True)
        ]
        assert decoded == ["no", "yes"]


def test_tokenizers_that_cannot_serve_are_refused():
    with pytest.raises(ConfigError, match="neither <extra_id_0> nor a mask"):
        render(SINGLE, standard_pattern("sentiment", "cloze", "soft"), TOKENIZERS["gpt2"][0], 64)
    silent = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"b": 0}, "b")))
    silent.backend_tokenizer.normalizer = normalizers.Replace("a", "")
    with pytest.raises(ConfigError, match="of 'a'"):
        Encoder.of(silent)
