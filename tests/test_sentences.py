"""Sentence splitting: NLTK is the oracle of every Punkt boundary; fixed examples for the rest."""

import bz2
import gzip
import json
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import cloudpickle
import nltk
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nltk.tokenize.punkt import (
    PunktSentenceTokenizer,
    PunktToken,
    load_punkt_params,
    save_punkt_params,
)

from pipelines import train_punkt as command
from pipelines.config import BuildConfig
from ppt.errors import ConfigError, InputError, OutputError, UnknownNameError
from ppt.text import punkt, sentences
from ppt.text.punkt import PunktParameters, PunktSplitter
from ppt.text.sentences import get_splitter, load_punkt, save_punkt, train_punkt

ROOT = Path(__file__).parents[1]
ENGLISH = get_splitter("punkt:english")
SMALL = PunktParameters(
    abbrev_types={"dr", "etc", "e.g", "u.s", "b", "5"},
    collocations={("##number##", "act"), ("i", "o"), (".", "x"), ("dr", "?"), ("end", '"')},
    sent_starters={"the", "he"},
    ortho_context=defaultdict(int, {"we": 34, "act": 38, "x": 16, "house": 32, "he": 34}),
)

# ---- Punkt against NLTK

WORDS = """
a b A B I J mr Mr dr Dr etc e.g U.S u.s S.A foo Foo act Act the The he He we We house House x X
5 3.14 -2 1,000 1980 co-op x-dr it's 1st _ ##number## end Zürich été É ß Ж שלום 中文 😀 İ ΑΣ K ǅ
٣ ² \U00010d40 e\u0301
""".split()  # noqa: SIM905
SIGNS = """
. . . . .. ... ? ! ?! !!! , ; : ' " ( ) [ ] { } * @ # & ` ‘ ’ “ ” « » … 。 - -- --- / < ' " )
""".split()  # noqa: SIM905
SPACES = [" ", " ", " ", "\n", "\n\n", "  ", "\t", "\r\n", "\v", " \n "]
ODD_SPACES = ["\xa0", "\x85", "\u2028", "\u3000", "\u200b", "\x1c", "\x1d", "\x1e", "\x1f"]

plain_texts = st.lists(st.sampled_from(WORDS + SIGNS + SPACES * 2), max_size=40).map("".join)
odd_texts = st.lists(st.sampled_from(WORDS + SIGNS + SPACES + ODD_SPACES), max_size=40).map("".join)
wild_texts = st.text(max_size=60)
nasty_texts = plain_texts | odd_texts | wild_texts

TYPES = [word.lower() for word in WORDS] + [".", "?", "'", '"', ")", "..", "...", "--", ";", ":"]
some_types = st.sets(st.sampled_from(TYPES), max_size=20)
any_parameters = st.builds(
    PunktParameters,
    some_types,
    st.sets(st.tuples(st.sampled_from(TYPES), st.sampled_from(TYPES)), max_size=60),
    some_types,
    st.dictionaries(
        st.sampled_from(TYPES + [f"{word}." for word in TYPES]), st.integers(0, 127), max_size=60
    ).map(lambda habits: defaultdict(int, habits)),
)


def nltk_spans(text, parameters):
    return list(PunktSentenceTokenizer(parameters).span_tokenize(text))


@given(nasty_texts)
@settings(max_examples=600, deadline=None)
@example("")
@example(" ")
@example(" ?! a")
@example("?!? a")
@example(". . . . a. . b")
@example("a.\xa0.\xa0. . b")
@example("He left. \x1c")
@example("He left.\n\x1c\x1d")
@example("Mr. Who?) said. ")
@example("(One.) --Two.--Three.'' \"Four.\" 'Five.'\n--six")
def test_shipped_parameters_give_the_boundaries_of_nltk(text):
    assert ENGLISH.spans(text) == nltk_spans(text, ENGLISH.parameters)


@given(any_parameters, st.lists(nasty_texts, min_size=1, max_size=8))
@settings(max_examples=200, deadline=None)
def test_any_parameters_give_the_boundaries_of_nltk(parameters, texts):
    splitter = PunktSplitter(parameters)
    for text in texts:  # what is remembered from one text must not mislead in the next
        assert splitter.spans(text) == nltk_spans(text, parameters)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("It is the end. Then we go.", 2),  # an ordinary word
        ("See Dr. Foo.", 1),  # an abbreviation
        ("See x-Dr. Foo.", 1),  # its last part is one
        ("Pens etc. We left.", 2),  # then a word with lower case elsewhere
        ("Pens etc. Act now.", 1),  # then a word that also stands in upper case in the middle
        ("Pens etc. The rest.", 2),  # then a frequent starter
        ("Pens etc. the rest.", 1),
        ("Wait ... The rest.", 2),  # an ellipsis counts as an abbreviation
        ("Wait ... and see.", 1),
        ("By J. Foo.", 1),  # an initial before a name
        ("By J. House.", 2),  # an initial before a word
        ("By J. house.", 1),  # a word in lower case that never begins a sentence
        ("By J. x.", 2),  # one that does
        ("By J. , he.", 1),  # a sign begins no sentence
        ("By I. O.", 1),  # a collocation
        ("Plan B. We go.", 1),  # an initial that is an abbreviation is never a break
        ("In 1980. Foo.", 2),  # a number
        ("In 1980. foo.", 1),
        ("In 1980. Act.", 1),  # a collocation of all numbers
        ("Dr. Who?) he said.", 3),  # NLTK takes the end inside "Who?)" for one after "Dr."
        ("Who? Me! Yes.", 3),
        ("No space.Here", 1),
        ('"Quoted." (So.) Said.', 3),
    ],
)
def test_every_rule_of_punkt(text, count):
    spans = PunktSplitter(SMALL).spans(text)
    assert spans == nltk_spans(text, SMALL)
    assert len(spans) == count, [text[start:stop] for start, stop in spans]


REAL_TEXT = """\
# A pipeline for corpora

Run `make setup` first, e.g. on Debian 12. It takes ca. 90 s and 1.5 GB (see
Fig. 3, p. 12). "Is it fast?" asked Mrs. Brown, of Brown & Co. "It is," said J. R. Wells,
Ph.D., in Washington, D.C. He had come at 8 a.m. on Jan. 5 ... and left at once!

1. Read the documents.
2. Split them; etc. The rest is easy.

‘Don’t go,’ he said. “Mr. Jones won’t. Why?” — “No. 5 is alive.” Version 3.11.2 is out.
Was ist das? Ça va bien. Это конец. שלום. مرحبا. Bye 👋. ...And then?! So be it.
"""


def test_real_text():
    for text in (REAL_TEXT, REAL_TEXT * 3, " ".join(REAL_TEXT.split())):
        assert ENGLISH.spans(text) == nltk_spans(text, ENGLISH.parameters)
    assert ENGLISH(REAL_TEXT)[:5] == [
        "# A pipeline for corpora",
        "Run `make setup` first, e.g. on Debian 12.",
        "It takes ca. 90 s and 1.5 GB (see Fig. 3, p. 12).",
        '"Is it fast?"',
        'asked Mrs. Brown, of Brown & Co. "It is," said J. R. Wells, Ph.D., in Washington, D.C.',
    ]


def test_documents_of_the_repository():
    for path in ROOT.glob("data/documents/*.jsonl"):
        for line in path.read_text("utf-8").splitlines()[:50]:
            text = json.loads(line)["text"][:20_000]
            assert ENGLISH.spans(text) == nltk_spans(text, ENGLISH.parameters)


@pytest.mark.parametrize(
    "text",
    ["x" * 300_000, "x." * 100_000, "a.'" * 100_000, " " * 300_000 + ".", "." * 300_000,
     "?! " * 100_000, ". " * 150_000, "-" * 300_000, "a,'" * 100_000, "a.’" * 100_000,
     "É.\xa0?”" * 50_000, "a.\n\n" * 80_000],
)  # fmt: skip
def test_time_is_linear_in_length(text):
    start = time.process_time()
    ENGLISH(text)
    assert time.process_time() - start < 2


@given(nasty_texts)
@settings(max_examples=200, deadline=None)
def test_splitters_keep_every_character_but_white_space(text):
    for name in ("punkt:english", "regex:zh", "lines"):
        found = get_splitter(name)(text) if name != "punkt:english" else ENGLISH(text)
        assert all(sentence and " ".join(sentence.split()) == sentence for sentence in found)
        assert "".join("".join(found).split()) == "".join(text.split())


@given(st.lists(nasty_texts, max_size=4).map("\n \n".join))
@settings(max_examples=200, deadline=None)
def test_each_paragraph_is_split_as_nltk_splits_it(text):
    paragraphs = re.split(r"\n\s*\n", text)
    theirs = [one[a:b] for one in paragraphs for a, b in nltk_spans(one, ENGLISH.parameters)]
    assert ENGLISH(text) == [" ".join(one.split()) for one in theirs if one.split()]


def test_blank_lines_part_sentences():
    text = "The Heading\n\nThe first sentence\nof two. The second.\n \t\nAnd\n\n\nmore"
    assert ENGLISH(text) == [
        "The Heading", "The first sentence of two.", "The second.", "And", "more",
    ]  # fmt: skip


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("ppt.text.punkt.REMEMBERED_WORDS", 50)
    splitter = PunktSplitter(SMALL)
    text = " ".join(f"word{i}. Dr. Next{i}" for i in range(500))
    assert splitter.spans(text) == nltk_spans(text, SMALL)
    assert splitter._ending.cache_info().currsize == 50
    assert splitter._follower.cache_info().currsize == 50


def test_a_pickled_splitter_is_small_and_needs_no_nltk():
    data = cloudpickle.dumps(ENGLISH)
    assert len(data) < 600_000
    assert cloudpickle.loads(data)(REAL_TEXT) == ENGLISH(REAL_TEXT)
    for name in ("regex:zh", "lines"):
        assert cloudpickle.loads(cloudpickle.dumps(get_splitter(name)))("a\nb") == ["a", "b"]


def test_engines_agree_on_what_is_looked_at_without_nltk():
    plain = [sign for sign in map(chr, range(0x80, 0x3000)) if punkt._is_plain(sign)]
    assert {*"é’—Ω"} <= {*plain}
    assert not {*"٣½ ̈"} & {*plain}
    for sign in plain:
        for text in (f"{sign}.", f"1{sign}", sign):
            ours, theirs = ENGLISH._look_at(text), PunktToken(text)
            assert ours.initial == (theirs.is_initial is not None)
            assert ours.stem == (theirs.type if text == "." else theirs.type_no_period)


def test_importing_and_splitting_what_most_write_loads_no_heavy_module():
    code = (
        "import sys; from ppt.text.sentences import get_splitter;"
        "get_splitter()('“Dr. No.” Zoë’s café… 5. É. Yes.');"
        "assert not {'torch', 'nltk', 'apache_beam'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# ---- names


def test_chinese():
    split = get_splitter("regex:zh")
    assert split("你好！我是小明。你呢？") == ["你好！", "我是小明。", "你呢？"]
    assert split("他说：“走吧。”我们就走了……然后呢？！") == [
        "他说：“走吧。”", "我们就走了……", "然后呢？！",
    ]  # fmt: skip
    assert split("（真的。）『好！』「对；」没有句号\n新的一行 有 空格。\n\n") == [
        "（真的。）", "『好！』", "「对；」", "没有句号", "新的一行 有 空格。",
    ]  # fmt: skip
    assert split(" \n ") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天很好.明天也好!后天呢?不知道;再说吧.",
         ["今天很好.", "明天也好!", "后天呢?", "不知道;", "再说吧."]),
        ("圆周率是3.14，我用Node.js和Python3.11版.它很好.",
         ["圆周率是3.14，我用Node.js和Python3.11版.", "它很好."]),
        ('他说:"走吧."我们走了.她问:"去哪?"又笑了。',
         ['他说:"走吧."', "我们走了.", '她问:"去哪?"', "又笑了。"]),
        ('走了。"你好!"他说。', ["走了。", '"你好!"', "他说。"]),
        ("It's fine! 他说'好.'然后走了。", ["It's fine!", "他说'好.'", "然后走了。"]),
        ("《好！》他说。（真的。）(真的?)是的。",
         ["《好！》", "他说。", "（真的。）", "(真的?)", "是的。"]),
        ("见 http://a.com/x?y=1;z=2 的说明。", ["见 http://a.com/x?y=1;z=2 的说明。"]),
        ("【完。】〈是！〉“啊！”’", ["【完。】", "〈是！〉", "“啊！”’"]),
        ("OK! 好的.", ["OK!", "好的."]),
    ],
)  # fmt: skip
def test_half_width_stops_and_closing_signs_of_chinese(text, expected):
    assert get_splitter("regex:zh")(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "「走れ。」と彼は言った。雨が降っていた。",
            ["「走れ。」と彼は言った。", "雨が降っていた。"],
        ),
        ("「おはよう。」彼は言った。", ["「おはよう。」", "彼は言った。"]),
        ("今日は3.5度だ．明日は？わからない！", ["今日は3.5度だ．", "明日は？", "わからない！"]),
        ("『そうか！』\n終わり｡次", ["『そうか！』", "終わり｡", "次"]),
        ("吾輩は猫である。名前はまだ無い。", ["吾輩は猫である。", "名前はまだ無い。"]),
    ],
)
def test_japanese(text, expected):
    assert get_splitter("regex:ja")(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "वह डॉ. शर्मा से मिला। क्या वह ठीक है? उसने कहा, “मैं आता हूँ।” फिर\nवह सो गया",
            ["वह डॉ. शर्मा से मिला।", "क्या वह ठीक है?", "उसने कहा, “मैं आता हूँ।”", "फिर वह सो गया"],
        ),
        (
            "رأى د. أحمد 3.5 منها. هل رأيته؟ قال: «انتهى الدرس.» ثم عاد!",
            ["رأى د. أحمد 3.5 منها.", "هل رأيته؟", "قال: «انتهى الدرس.»", "ثم عاد!"],
        ),
        ("وہ گھر گیا۔کیا تم آؤ گے؟ ہاں۔", ["وہ گھر گیا۔", "کیا تم آؤ گے؟", "ہاں۔"]),
        ("ሰላም ነው። እንዴት ነህ፧ ደህና።", ["ሰላም ነው።", "እንዴት ነህ፧", "ደህና።"]),
        ("Նա գնաց։ Ես մնացի։", ["Նա գնաց։", "Ես մնացի։"]),
        ("शीर्षक\n \nपहला। दूसरा", ["शीर्षक", "पहला।", "दूसरा"]),
    ],
)
def test_stops_of_other_scripts(text, expected):
    assert get_splitter("regex:stops")(text) == expected


@pytest.mark.parametrize("splitter", ["regex:ja", "regex:stops"])
@pytest.mark.parametrize(
    "text",
    ["。" * 100_000, "!" * 200_000 + "x", "." * 200_000 + "x", "।)" * 90_000, "\n " * 90_000,
     'a."' * 30_000, "中.'" * 30_000, "中。\"'" * 25_000, ")" * 100_000,
     "中!))))" * 15_000, ("a." + " " * 500) * 200, "中.)" * 30_000],
)  # fmt: skip
def test_scripts_are_split_in_linear_time(text, splitter):
    start = time.process_time()
    get_splitter(splitter)(text)
    assert time.process_time() - start < 2


CHINESE_STORY = (
    "村里的人都认识他。他每天清晨去河边打水！有人问他：“你累不累？”他说：“不累。”天亮了。"
)


def test_bounds_of_length_are_the_splitters_own():
    kept = {
        name: sum(low <= len(s) <= high for s in get_splitter("regex:zh")(CHINESE_STORY))
        for name in ("regex:zh", "punkt:english")
        for low, high in [sentences.lengths_of(name)]
    }
    assert kept == {"regex:zh": 4, "punkt:english": 0}
    assert BuildConfig(splitter="regex:zh").min_sentence_chars == 8
    assert BuildConfig(splitter="regex:ja", max_sentence_chars=90).max_sentence_chars == 90
    assert BuildConfig().max_sentence_chars == 600


def test_the_splitter_that_a_text_calls_for():
    assert sentences.better_splitter(CHINESE_STORY, 1) == "regex:zh"
    assert sentences.better_splitter("吾輩は猫である。名前はまだ無い。", 1) == "regex:ja"
    assert sentences.better_splitter("वह आया। वह गया।", 1) == "regex:stops"
    assert sentences.better_splitter("वह आया। वह गया।", 2) == ""


def test_lines():
    assert get_splitter("lines")("One. Two.\n\n  three \t four\n") == ["One. Two.", "three four"]


@pytest.mark.parametrize("name", ["punct:english", "punkt", "punkt:", "regex:ko", "", "Lines"])
def test_an_unknown_splitter_names_the_known_ones(name):
    with pytest.raises(UnknownNameError, match=r"unknown splitter .*punkt:english.*regex:zh"):
        get_splitter(name)


def test_what_punkt_cannot_load_is_told_with_the_cure(tmp_path):
    with pytest.raises(ConfigError, match=r"no/such.*abbrev_types.*pipelines.train_punkt"):
        get_splitter("punkt:no/such")
    with pytest.raises(ConfigError, match=r"nltk\.downloader punkt_tab"):
        get_splitter("punkt:klingon")
    with pytest.raises(ConfigError, match="punkt:<folder>"):
        get_splitter("punkt:train")
    save_punkt(SMALL, tmp_path)
    for name, line in (("ortho_context.tab", "word\tmany"), ("collocations.tab", "one")):
        save_punkt(SMALL, tmp_path)
        (tmp_path / name).write_text(line)
        with pytest.raises(ConfigError, match="no Punkt parameters in"):
            get_splitter(f"punkt:{tmp_path}")


def test_an_installed_language_of_nltk(tmp_path, monkeypatch):
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    save_punkt(SMALL, tmp_path / "tokenizers/punkt_tab/german")
    assert get_splitter("punkt:german").parameters == SMALL
    with pytest.raises(ConfigError, match=r"no such model installed; it has german, and there"):
        get_splitter("punkt:klingon")
    (tmp_path / "tokenizers/punkt_tab/german/ortho_context.tab").write_text("broken")
    with pytest.raises(ConfigError, match="no Punkt parameters in"):
        get_splitter("punkt:german")


# ---- saving and learning


def test_nltk_and_we_read_what_the_other_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    save_punkt(SMALL, tmp_path / "ours")
    theirs = load_punkt_params(nltk.data.FileSystemPathPointer(str(tmp_path / "ours")))
    assert vars(theirs) == vars(SMALL)
    save_punkt_params(theirs, str(tmp_path / "theirs"))
    assert load_punkt(tmp_path / "theirs") == load_punkt(tmp_path / "ours") == SMALL


@given(any_parameters)
@settings(max_examples=20, deadline=None)
def test_saved_parameters_come_back(tmp_path_factory, parameters):
    folder = tmp_path_factory.mktemp("punkt")
    save_punkt(parameters, folder)
    assert load_punkt(folder) == parameters


def test_saving_where_it_cannot_be_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write Punkt parameters to"):
        save_punkt(SMALL, tmp_path / "file")


TRAINING = [
    f"Dr. {name} saw {i} birds. The birds there saw Dr. {name}. A nest was left there. {name} left."
    for i, name in enumerate(["Brown", "Gray", "Silver", "Black"] * 10)
]


def test_learning_finds_abbreviations_and_starters():
    parameters = train_punkt(TRAINING)
    assert parameters.abbrev_types == {"dr"}
    assert not parameters.sent_starters & {"brown", "gray", "silver", "black"}
    assert "birds" in parameters.ortho_context
    assert "brown" not in parameters.ortho_context
    assert PunktSplitter(parameters)("He met Dr. Gray. They left.") == [
        "He met Dr. Gray.",
        "They left.",
    ]


def test_words_never_in_lower_case_change_no_decision(monkeypatch):
    parameters = train_punkt(TRAINING, min_count=0)
    assert parameters.ortho_context["brown"]
    cut = train_punkt(TRAINING, min_count=1)
    assert "brown" not in cut.ortho_context
    text = "J. Brown met Dr. Brown. 5. Brown. brown etc. Brown ... Brown B. brown. 5. brown."
    assert PunktSplitter(parameters).spans(text) == PunktSplitter(cut).spans(text)


def test_learning_holds_a_bounded_part_of_the_text(monkeypatch):
    monkeypatch.setattr(sentences, "TRAIN_CHUNK_CHARS", 500)
    assert train_punkt(iter(TRAINING)).abbrev_types == {"dr"}


def test_learning_from_nothing_is_told():
    with pytest.raises(InputError, match="no text to learn"):
        train_punkt(["", " \n"])


def test_the_command(tmp_path, capsys):
    lines = "".join(json.dumps({"body": text}) + "\n" for text in TRAINING[:20])
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "b.txt").write_text("\n\n".join(TRAINING[20:]))
    flags = ["--input", str(tmp_path / "*.jsonl"), str(tmp_path / "b.txt"), "--text_field", "body"]
    for name, extra in (("plain", []), ("english", ["--supplement", "english"])):
        assert command.main([*flags, *extra, "--output", str(tmp_path / name)]) == 0
    assert "learned 1 abbreviations (dr" in capsys.readouterr().out
    assert load_punkt(tmp_path / "plain") == train_punkt(TRAINING)
    english = get_splitter(f"punkt:{tmp_path / 'english'}")
    assert english("By “Mr. J.K. Gray, No. 5. He left.") == [
        "By “Mr. J.K. Gray, No. 5.",
        "He left.",
    ]


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (None, [], "no file matches"),
        ("{", [], "line 1: not JSON"),
        ('{"text": 5}', [], "--text_field"),
        ("\n", [], "no text to learn"),
        ('{"text": "A."}', ["--min_count", "0"], "expected 1 or more"),
        (b"\xff", [], "cannot read"),
        ("[" * 100_000, [], "line 1: not JSON"),
        (r'{"text": "Half a pair \ud800."}', [], "line 1: the text has half a surrogate pair"),
        (r'{"text": "A NUL\u0000."}', [], "line 1: the text has NUL characters"),
        ('{"text": "One.", "text": "Two."}', [], "'text' stands twice"),
    ],
)
def test_the_command_tells_what_is_wrong(tmp_path, capsys, content, flags, message):
    path = tmp_path / "in.jsonl"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert command.main(["--input", str(path), "--output", str(tmp_path / "o"), *flags]) == 2
    assert message in capsys.readouterr().err


def test_the_command_reads_each_file_once_and_knows_its_kind_as_builds_do(tmp_path):
    one = tmp_path / "A.JSONL.GZ"
    one.write_bytes(gzip.compress(json.dumps({"text": "A text."}).encode()))
    (tmp_path / "b[1].txt").write_text("Another.")
    patterns = [
        str(one),
        str(tmp_path / "b[1].txt"),
        str(tmp_path / "*"),
        str(tmp_path / "./*.txt"),
    ]
    assert [*command.texts(patterns, "text")] == ["A text.", "Another."]
    for name, content, message in (
        ("c.HTML.gz", "<p>Mr. X.</p>", "is html and no plain text"),
        ("d.txt", "A NUL\0.", "has NUL characters"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=message):
            [*command.texts([str(tmp_path / name)], "text")]


def test_the_command_reads_byte_order_marks_and_tells_of_damaged_gzip(tmp_path, capsys):
    text = " ".join(f"Dr. Martin saw {n} cats." for n in range(200))
    marked, damaged = tmp_path / "in.jsonl", tmp_path / "in.txt.gz"
    marked.write_bytes(b"\xef\xbb\xbf" + json.dumps({"text": text}).encode())
    packed = bytearray(gzip.compress(text.encode()))
    packed[20:60] = b"\xff" * 40
    damaged.write_bytes(packed)
    assert command.main(["--input", str(marked), "--output", str(tmp_path / "o")]) == 0
    assert "dr" in load_punkt(tmp_path / "o").abbrev_types
    assert command.main(["--input", str(damaged), "--output", str(tmp_path / "p")]) == 2
    assert f"{damaged} is no whole gzip file (Error -3" in capsys.readouterr().err


def test_the_command_reads_what_labelled_data_may_be_packed_as_and_waits_for_no_pipe(tmp_path):
    (tmp_path / "a.txt.zst").write_bytes(zstandard.compress("Ein Täxt.".encode()))
    (tmp_path / "b.jsonl.BZ2").write_bytes(bz2.compress(b'{"text": "One."}\n{"text": "Two."}\n'))
    assert [*command.texts([str(tmp_path / "*")], "text")] == ["Ein Täxt.", "One.", "Two."]
    os.mkfifo(tmp_path / "c.txt")
    run = [sys.executable, "-m", "pipelines.train_punkt", "--output=o", "--input", tmp_path / "*"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60)  # could wait for ever
    assert (done.returncode, "c.txt (it is no file)" in done.stderr) == (2, True), done.stderr


def test_training_needs_a_folder_and_shows_no_sign_that_steers_a_terminal(tmp_path, capsys):
    source = tmp_path / "a.txt"
    source.write_text("He met dr\x1b[2J. Smith and dr\x1b[2J. Jones at noon today.\n" * 99)
    assert command.main(["--input", str(source), "--output", ""]) == 2
    assert "--output: got '', expected text" in capsys.readouterr().err
    assert command.main(["--input", str(source), "--output", str(tmp_path / "p")]) == 0
    said = capsys.readouterr().out
    assert "2j" in said
    assert "\x1b" not in said
