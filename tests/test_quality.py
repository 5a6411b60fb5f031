# ruff: noqa: E501 - texts are as long as they are
"""Encodings, languages, published quality filters, parts: what is kept, refused, and counted."""

import json
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import preparing
from pipelines.flags import BuildFlags
from pipelines.options import job_of
from pipelines.preparing import ReadOptions, cut_into_parts, prepared
from ppt.corpus.records import REASONS, Document, UnusableError
from ppt.errors import ConfigError, UnknownNameError
from ppt.text import encoding
from ppt.text.encoding import decode
from ppt.text.language import foreign_language, identify
from ppt.text.quality import RULE_SETS, Measured, fault, kept_lines, lines_of
from tests.builds import build, good_documents, ledger_holds, manifest, rejects, write_jsonl

NOVEL = """\
CHAPTER I.

It was late in the year when the boat came in, and nobody on the shore had seen the old
man that day. "He went out," said the woman, "before the sun was up—as he always did."

The boy asked twice. They had nothing to tell him... They waited with him, and the sea was
quiet; too quiet, the fishers said, for that time of the year. "Go home," said the oldest.
"There is nothing to be done to-night, and your mother will be waiting for you."

"I will stay," he said. And so it was that he saw the light first, far out and low, and
knew that it was not a star.
"""

# ---- encodings

RUSSIAN = "Всё счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива."
FRENCH = (
    "Le château était fermé à cause de la tempête, mais les élèves étaient déjà arrivés. Où étiez-vous "
    "hier soir ? Nous avons dîné près de la forêt, où le garçon a été reçu."
)
TYPOGRAPHIC = (
    "“It’s a café – naïve, isn’t it?” he said. “No,” she replied, “it’s a résumé — and a façade.” "
    "They’d all gone to the “grand” hôtel’s bar… and didn’t return."
)
POLISH = (
    "Warszawa jest stolicą Polski i największym miastem w kraju. Źródła mówią, że żyło tu wcześniej "
    "mniej ludzi. Późną jesienią pada śnieg i wieje wiatr."
)
PASSAGES = {
    ("cp1252", "iso8859-15", "cp850", "mac-roman"): (
        "Hier soir, Léa préféra rentrer très tôt ; ses élèves zélés protégèrent le château fermé.",
        "El niño salió por la mañana y no sabía que una mujer lo esperaba; está en su país, España, después.",
        "På kvällen gick vi på bio för att se den nya filmen. Den var lång, men skådespelarna var bra.",
        "Não há razão para preocupação, disse ele; amanhã vão à praia com as crianças e o cão também.",
        "Über süße Bären: „Größe“ hören Mädchen öfter, würfeln für Käse, grüßen Könige früh.",
    ),
    ("cp1250", "iso8859-2", "cp852"): (
        POLISH,
        "Včera večer jsme šli do kina na nový film. Byl dlouhý, ale herci hráli skvěle a hudba byla krásná.",
        "Včera sme išli do kina. Film bol dlhý; neďaleko námestia sa opäť vrátili pešo, čo už nechceš.",
        "Tegnap este moziba mentünk, hogy megnézzük az új filmet. Hosszú volt, de a zene gyönyörű, nagyszerű.",
        "Sinoć smo išli u kino. Glumci su igrali odlično, što mi se sviđa; žao mi je, kiša će početi još.",
    ),
    ("cp1254", "iso8859-9"): (
        "Dün akşam yeni filmi görmek için sinemaya gittik. Uzun ve sıkıcıydı, ama oyuncular çok iyiydi.",
    ),
    ("cp1257", "iso8859-13"): (
        "Pēc tam mēs vakariņojām mazā restorānā netālu no laukuma, un mūzika bija skaista, bet gara.",
    ),
    ("cp932", "euc-jp", "iso2022-jp"): (
        "昨日の夜、新しい映画を見に映画館へ行きました。長くて少し退屈でしたが、俳優たちは素晴らしかったです。",
    ),
    ("cp949",): ("어제 저녁에 새 영화를 보러 극장에 갔습니다. 길고 조금 지루했지만 배우들은 훌륭했습니다.",),
    ("cp1255",): ("אתמול בערב הלכנו לקולנוע לראות סרט חדש. הוא היה ארוך ומעט משעמם, אבל השחקנים נהדרים.",),
    ("cp1253",): ("Χθες το βράδυ πήγαμε στον κινηματογράφο για να δούμε μια νέα ταινία. Ήταν λίγο βαρετή.",),
}  # fmt: skip
CHINESE = "今天天气很好，我们一起去公园散步。孩子们在湖边放风筝，老人们在树下下棋。"


@pytest.mark.parametrize(
    ("text", "codec"),
    [(RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (CHINESE, "gb18030"), (CHINESE, "big5"),
     (RUSSIAN, "utf-16"), (CHINESE, "utf-8"), ("plain", "ascii"), (FRENCH, "latin-1"),
     (TYPOGRAPHIC, "cp1252"), (TYPOGRAPHIC, "mac-roman"), (POLISH, "cp1250")],
)  # fmt: skip
def test_encodings_are_found(text, codec):
    text = text if codec != "big5" else text.replace("们", "們").replace("气", "氣").replace(
        "孩", "孩").replace("园", "園").replace("边", "邊").replace("风", "風").replace(
        "筝", "箏").replace("树", "樹").replace("一起去", "一起去")  # fmt: skip
    found, name = decode(text.encode(codec), "auto")
    assert found.removeprefix("\ufeff") == text
    assert encoding.is_charset(name)


@pytest.mark.parametrize("codec", [name for names in PASSAGES for name in names])
def test_a_language_keeps_its_letters(codec):
    """Of encodings that differ in few letters each is read as itself, or as one of the same text."""
    for text in next(texts for names, texts in PASSAGES.items() if codec in names):
        data = (f"{text} " * 4).encode(codec, "ignore")
        assert decode(data, "auto")[0] == data.decode(codec)


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        ('<html><head><meta charset="windows-1250"><p>Žluťoučký kůň', "cp1250"),
        ("<meta http-equiv=Content-Type content='text/html; charset=Shift_JIS'><p>昨夜", "cp932"),
        ("<?xml version='1.0' encoding='ISO-8859-1'?><p>“Été”", "cp1252"),
        ("Subject: x\nContent-Type: text/plain;\n\tcharset=koi8-r\n\nДа.", "koi8-r"),
        ("Subject: x\nContent-Type: text/plain; charset=us-ascii\n\nÉté.", "cp1252"),
    ],
)  # fmt: skip
def test_pages_and_mails_say_what_they_are_in(data, codec):
    assert decode(data.encode(codec), "auto") == (data, codec)


@pytest.mark.parametrize("name", ["utf-8", "no-such", "undefined", "utf-16"])
def test_what_a_page_says_is_not_believed_where_it_cannot_be(name):
    data = f'<meta charset="{name}"><p>{RUSSIAN}'.encode("cp1251", "replace")
    for text in (data, data + b" "):  # of an even number of bytes, and an odd one
        assert decode(text, "auto")[1] == "cp1251"


@pytest.mark.parametrize("text", [FRENCH, RUSSIAN, CHINESE])
@pytest.mark.parametrize("broken", [b"\xff", b"\xe9", b"\xc3", b"\x93"])
def test_broken_utf8_is_not_read_as_something_else(text, broken):
    data = b'<meta charset="latin-1">' + (text * 5).encode() + broken + b" " + (text * 5).encode()
    with pytest.raises(UnicodeDecodeError):
        decode(data, "auto")


@pytest.mark.parametrize("data", [b"caf\xe9", "Il a été à l'école".encode("latin-1")])
def test_too_few_bytes_are_not_guessed_at(data):
    with pytest.raises(UnicodeDecodeError):
        decode(data, "auto")
    assert decode(data, "cp1252")[0] == data.decode("latin-1")


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_text_or_an_error_of_unicode(data):
    with suppress(UnicodeError):
        assert isinstance(decode(data, "auto")[0], str)


# ---- languages

SENTENCES = {
    "German": "Der Mann war nicht mit dem Boot gekommen, und die Frau sagte, es sei zu spät für ihn.",
    "French": "Le vieil homme est parti dans la nuit avec les autres, et il ne savait pas qui était là.",
    "Spanish": "El viejo salió por la noche con los otros y no sabía que una mujer lo esperaba en casa.",
    "Dutch": "De oude man was niet met het schip gekomen en zij zei dat hij er ook niet was geweest.",
    "Polish": "Stary człowiek nie wiedział, że to jest już koniec, ale po co się było martwić na zapas.",
    "Chinese": CHINESE, "Japanese": "むかしむかし、あるところに、おじいさんとおばあさんがいました。",
    "Cyrillic": RUSSIAN, "Devanagari": "भारत एक विशाल देश है जिसमें अनेक भाषाएँ बोली जाती हैं।",
    "Thai": "เมื่อวานนี้ฉันไปตลาดกับแม่", "Arabic": "ذهبت إلى السوق مع أمي أمس", "": NOVEL,
}  # fmt: skip


@pytest.mark.parametrize("language", SENTENCES)
def test_a_language_shows_by_script_or_common_words(language):
    assert foreign_language(SENTENCES[language] * 3) == language


@pytest.mark.parametrize(
    "text", ["", "x " * 50, "asdf qwer " * 30, "1 2 3", "<a href=x> </a>" * 20]
)
def test_what_is_no_language_shows_none(text):
    assert foreign_language(text) == ""


def test_the_identifier_knows_languages():
    codes = {"German": "de", "French": "fr", "Spanish": "es", "Chinese": "zh", "Japanese": "ja"}
    for language, code in codes.items():
        assert identify(SENTENCES[language])[0] == code
    assert identify(NOVEL) == ("en", pytest.approx(1, abs=0.01))


# ---- quality

LONG = " ".join(NOVEL.split())


def words(n, like="the {} and of that to have with"):
    return " ".join(like.format(np.base_repr(i + 100, 26).lower()) for i in range(n))


@pytest.mark.parametrize("name", RULE_SETS)
@pytest.mark.parametrize("text", [NOVEL, LONG], ids=["wrapped", "one line"])
def test_clean_prose_loses_nothing(name, text):
    assert fault(text, RULE_SETS[name]) == ("", "")
    kept, left_out = kept_lines(text, RULE_SETS[name])
    assert sum(left_out.values()) == (1 if text is NOVEL and name == "c4" else 0)
    assert len(kept) > 0.95 * len(text)


@pytest.mark.parametrize(
    ("name", "text", "reason", "detail"),
    [
        ("gopher_quality", "the and of", "gopher_short_doc", "3, expected at least 50"),
        ("gopher_quality", "a b " * 60, "gopher_below_avg_threshold", "1, expected at least 3"),
        ("gopher_quality", "abcdefghijkl " * 60, "gopher_above_avg_threshold", "12, expected at"),
        ("gopher_quality", words(20) + " word#" * 30, "gopher_too_many_hashes", ""),
        ("gopher_quality", words(20) + " …and" * 30, "gopher_too_many_ellipsis", ""),
        ("gopher_quality", "\n".join("- " + words(4, "there {} which shall become") for _ in range(9)), "gopher_too_many_bullets", ""),
        ("gopher_quality", "\n".join(words(2) + "..." for _ in range(9)),
         "gopher_too_many_end_ellipsis", "1, expected at most 0.3"),
        ("gopher_quality", words(8) + " 12345" * 40, "gopher_below_alpha_threshold", ""),
        ("gopher_quality", "Wort und noch eines dazu " * 20, "gopher_enough_stop_words", "0, expected"),
        ("gopher_repetition", "\n\n".join([words(30), *["One of these."] * 20]), "dup_para_frac", ""),
        ("gopher_repetition", "\n\n".join([words(30), words(29), words(10, "so {} it"), words(29)]),
         "dup_para_char_frac", ""),
        ("gopher_repetition", "\n".join([words(60), *["Once more."] * 9]), "dup_line_frac", ""),
        ("gopher_repetition", "\n".join([words(30), words(31), words(32), words(30)]),
         "dup_line_char_frac", ""),
        ("gopher_repetition", "spam ham " * 40, "top_2_gram", ""),
        ("gopher_repetition", f"{words(12, '{0} x{0} y{0}')} " * 2, "duplicated_5_n_grams", ""),
        ("c4", "Lorem ipsum dolor. " * 9, "c4_lorem_ipsum", ""),
        ("c4", "One two three {. " * 9, "c4_curly_bracket", ""),
        ("c4", "One sentence. Two of them.", "c4_too_few_sentences", "2, expected at least 5"),
    ],
)  # fmt: skip
def test_every_rule_has_its_reason(name, text, reason, detail):
    found, told = fault(text, RULE_SETS[name])
    assert found == reason
    assert told.startswith(detail)
    assert reason in REASONS


def test_reasons_stand_in_the_table_of_rejects():
    for rules in RULE_SETS.values():
        assert set(rules.rules) <= set(REASONS)


def test_lines_that_c4_leaves_out():
    text = ("A title without an end\nA whole sentence, of six words. And one more.\nToo short.\n"
            "Please enable Javascript to read this.\nThis page uses cookies, as you know.\n"
            + "x" * 120 + " ends so.")  # fmt: skip
    kept, left_out = kept_lines(text, RULE_SETS["c4"])
    assert kept.split("\n\n")[0] == "A whole sentence, of six words. And one more."
    assert left_out == {"c4_line_no_terminal_punc": 1, "c4_line_too_few_words": 1,
                        "c4_line_javascript": 1, "c4_line_policy": 1}  # fmt: skip
    assert len(kept.split("\n\n")) == 2


def test_lines_of_wrapped_text_are_paragraphs():
    assert len(lines_of(NOVEL)) == 4
    assert lines_of("One.\nTwo.") == ["One.", "Two."]
    assert lines_of("x" * 200 + "\n\nTwo.\n") == ["x" * 200, "Two."]


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=40), st.integers(2, 6))
@settings(max_examples=80, deadline=None)
def test_repeated_runs_are_those_that_a_plain_count_finds(tokens, n):
    runs = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    covered = set()
    for i, run in enumerate(runs):
        if run in runs[:i]:
            covered |= set(range(i, i + n))
    share = len(covered) / max(len(tokens), 1)
    rule = {5: "duplicated_5_n_grams", 6: "duplicated_6_n_grams"}
    top = max((runs.count(run) for run in runs), default=0)
    seen = Measured(" ".join(tokens))
    if n in rule:
        assert RULE_SETS["gopher_repetition"].rules[rule[n]][0](seen) == pytest.approx(share)
    elif n < 5:
        expected = top * n / max(len(tokens), 1) if top > 1 else 0
        found = RULE_SETS["gopher_repetition"].rules[f"top_{n}_gram"][0](seen)
        assert found == pytest.approx(expected)


@pytest.mark.parametrize("piece", ["a", "\n", " ", "a ", ".", "#", "a.\n", "- \n\n", "中"])
def test_rules_take_linear_time_and_any_text(piece):
    start = time.process_time()
    for rules in RULE_SETS.values():
        fault(kept_lines(piece * 100_000, rules)[0], rules)
    assert time.process_time() - start < 3


# ---- parts


@given(st.lists(st.sampled_from(["word ", " ", "\n", "\n\n", ". ", "词。"]), max_size=80).map("".join),
       st.integers(6, 40))  # fmt: skip
def test_parts_are_the_text_and_no_longer_than_allowed(text, limit):
    parts = cut_into_parts(text, limit)
    assert all(0 < len(part) <= limit or len(text) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_parts_end_at_paragraphs_and_else_at_lines_and_words():
    assert cut_into_parts("One one.\n\nTwo two.\n\nThree.", 22) == [
        "One one.\n\nTwo two.\n\n",
        "Three.",
    ]
    assert cut_into_parts("One one one.\r\n\r\nTwo\r\nthree.", 22) == [
        "One one one.\r\n\r\n",
        "Two\r\nthree.",
    ]
    assert cut_into_parts("One\nTwo\nThree", 9) == ["One\nTwo\n", "Three"]
    assert cut_into_parts("one two three", 9) == ["one two ", "three"]
    with pytest.raises(UnusableError, match="10 characters, no white space within 9"):
        cut_into_parts("x" * 10, 9)


HIDING = (
    "Subject: x\nContent-Type: text/plain; charset={}\nContent-Transfer-Encoding: base64\n\n{}\n"
)


def document(text, name="in.txt"):
    return Document("id", text, name, 7)


def test_parts_have_ids_of_their_own_and_share_the_place():
    found = list(
        prepared(document("One.\n\nTwo.\n\nThree."), ReadOptions(max_document_chars=8), ".txt")
    )
    assert [(one.id, one.text.strip(), one.offset) for one in found] == [
        ("id#1", "One.", 7), ("id#2", "Two.", 7), ("id#3", "Three.", 7),
    ]  # fmt: skip
    assert found[0].notes == (("cut_documents", 1), ("parts", 1))
    assert found[1].notes == found[2].notes == (("parts", 1),)


OTHER_KINDS = (
    "{\\rtf1\\ansi Yes.}", "%PDF-1.4\nstream", "%!PS-Adobe-3.0", "\n <!doctype HTML><p>Yes.",
    "<html lang=en>Yes.", "<?xml version='1.0'?><p>Yes.</p>", '{"text": "Yes."}', '[\n {"a": 1}]',
    "\ufeffWEBVTT\n\nYes.", "1\r\n00:00:01,000 --> 00:00:02,000\r\nYes.",
)  # fmt: skip
PLAIN = ("{He} said so.", "<I> saw it.", '{"Yes," he said: no.}', "1\n10:30 was the time.", "%PDF")


@pytest.mark.parametrize(
    ("options", "texts"), [(ReadOptions(), PLAIN), (ReadOptions(extract="none"), OTHER_KINDS)]
)
def test_plain_text_is_known_by_how_it_begins_or_by_the_flag(options, texts):
    for text in texts:
        assert [one.text for one in prepared(document(text), options, ".txt")] == [text]


@pytest.mark.parametrize(
    ("options", "text", "reason"),
    [
        (ReadOptions(extract="html"), "<div>" * 600, "not_extracted"),
        (ReadOptions(extract="markdown"), "```\ncode\n```", "no_prose"),
        (ReadOptions(extract="mail"), HIDING.format("utf-8", "YQBi"), "nul_bytes"),
        (ReadOptions(extract="mail"), HIDING.format("utf-7", "KzJBQS0="), "lone_surrogate"),
        (ReadOptions(languages=("de",)), NOVEL, "language"),
        (ReadOptions(quality=("c4",)), "One line of words. Two.", "c4_too_few_sentences"),
        *((ReadOptions(), text, "not_extracted") for text in OTHER_KINDS),
        (ReadOptions(), "川の水。".encode("iso2022_jp").decode(), "invalid_utf8"),
    ],
)
def test_what_is_not_wanted_has_its_reason(options, text, reason):
    with pytest.raises(UnusableError) as error:
        list(prepared(document(text), options, ".txt"))
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"encoding": "utf-9"}, ConfigError, "--encoding: got 'utf-9', expected 'auto' or"),
        ({"encoding": "hex"}, ConfigError, "--encoding: got 'hex'"),
        ({"encoding": "undefined"}, ConfigError, "--encoding: got 'undefined'"),
        ({"encoding": "punycode"}, ConfigError, "--encoding: got 'punycode'"),
        ({"extract": "markdwon"}, UnknownNameError, "Did you mean 'markdown'"),
        ({"quality": ("gopher",)}, UnknownNameError, "unknown filter in --quality 'gopher'"),
    ],
)
def test_bad_options_are_told(changes, error, message):
    with pytest.raises(error, match=message):
        ReadOptions(**changes)


def test_a_missing_package_and_an_unknown_language_are_told_before_the_work(monkeypatch):
    with pytest.raises(UnknownNameError, match=r"unknown language in --language 'english'"):
        preparing.check(ReadOptions(languages=("english",)), [".txt"])
    monkeypatch.setattr("ppt.base.extras.is_there", lambda _: False)
    for options, extension, message in [
        (ReadOptions(languages=("en",)), ".txt", r"--language needs py3langid: .*\[language\]"),
        (ReadOptions(), ".html", r"--extract auto needs resiliparse: .*\[html\]"),
        (ReadOptions(encoding="auto"), ".txt", r"--encoding auto needs .*\[encoding\]"),
    ]:
        with pytest.raises(ConfigError, match=message):
            preparing.check(options, [extension])
    preparing.check(ReadOptions(), [".txt", ".jsonl", ".eml"])


# ---- whole builds


def test_a_build_of_messy_files_counts_all_that_was_done(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number, one in enumerate(good_documents(4)):
        (folder / f"{number}.txt").write_text(one["text"])
    marked = "# A heading\n\n" + good_documents(1, 4)[0]["text"] + "\n\n```\ncode here\n```\n"
    (folder / "a.md").write_text(marked)
    (folder / "b.md").write_text("```\nonly code\n```\n")
    (folder / "de.txt").write_text(SENTENCES["German"] * 9)
    long = [one["text"] for one in good_documents(3, 5)]
    write_jsonl(folder / "long.jsonl", [{"id": "long", "text": "\n\n".join(long)}])
    (folder / "bytes.txt").write_bytes("caf\xe9".encode("latin-1"))
    flags = ("--input", folder / "*", "--formats", "sentence_pair", "--validation_fraction", 0,
             "--language", "en", "--encoding", "auto", "--max_document_chars", 600,
             "--output", tmp_path / "out")  # fmt: skip
    build(*flags)
    documents = ledger_holds(tmp_path / "out")
    assert documents["rejected"] == {"invalid_utf8": 1, "language": 1, "no_prose": 1}
    assert documents["notes"] == {
        "cut_documents": 1, "encoding utf-8": 6, "extracted markdown": 1, "parts": 3,
    }  # fmt: skip
    assert documents["kept"] == 4 + 1 + 3
    told = {line["reason"]: line["detail"] for line in rejects(tmp_path / "out")}
    assert told["language"].startswith("de, ")
    assert "--encoding NAME reads others" in told["invalid_utf8"]
    kept = manifest(tmp_path / "out")
    assert kept["config"]["languages"] == ["en"]
    assert kept["config"]["encoding"] == "auto"
    assert kept["config"]["extract"] == "auto"
    assert set(kept["versions"]) >= {"py3langid", "charset-normalizer", "markdown-it-py"}


def test_flags_change_what_a_finished_shard_is():
    base = {"input": ("a.txt",)}
    changes = ({}, {"encoding": "cp1252"}, {"extract": "none"}, {"language": "en"},
               {"quality": "c4"}, {"splitter": "regex:zh"}, {"min_sentence_chars": 7})  # fmt: skip
    prints = {job_of(BuildFlags(**base, **change)).config.fingerprint() for change in changes}
    assert len(prints) == len(changes)


def test_vader_refuses_a_corpus_that_is_not_english(tmp_path, capsys):
    german = [
        {"id": n, "text": f"{SENTENCES['German']} Und dann war es Tag Nummer {n}."}
        for n in range(9)
    ]
    source = write_jsonl(tmp_path / "in.jsonl", german)
    flags = ("--input", source, "--output", tmp_path / "out")
    build(*flags, expect=2)
    said = capsys.readouterr().err
    assert "--labeller vader does not know the language of 9 of 9 documents (German" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out/sentiment").exists()
    build(*flags, "--formats", "sentence_pair,multiple_choice", "--splitter", "lines",
          "--min_sentences", 1, expect=2)  # fmt: skip
    assert "nothing could be trained on this" in capsys.readouterr().err


def test_what_the_glance_did_not_see_is_refused_at_the_end(tmp_path, capsys):
    english = [
        {"id": one["id"], "text": one["text"].replace(". ", ".\n")} for one in good_documents(8)
    ]
    chinese = [{"id": f"z{n}", "text": CHINESE.replace("。", f"，第{n}天。\n")} for n in range(30)]
    source = write_jsonl(tmp_path / "in.jsonl", [*english, *chinese])
    build("--input", source, "--output", tmp_path / "out", "--splitter", "lines", expect=2)
    assert "30 of 38 documents (Chinese, for one)" in capsys.readouterr().err


def test_chinese_is_built_whole_without_sentiment(tmp_path):
    scenes = ["河边", "山上", "城里", "海岸", "田间", "林中", "桥头", "院子"]
    acts = [
        "有人在唱歌！",
        "孩子们跑来跑去.",
        "老人说：“天要下雨了。”",
        "船慢慢地开走了；",
        "谁也没有说话?",
    ]
    rows = [{"id": f"{n}", "text": "".join(f"第{'一二三四五六七八'[n]}个早晨，{scenes[(n + s) % 8]}{a}"
             for s, a in enumerate(acts))} for n in range(8)]  # fmt: skip
    source = write_jsonl(tmp_path / "in.jsonl", rows)
    build("--input", source, "--output", tmp_path / "out", "--splitter", "regex:zh",
          "--formats", "sentence_pair", "--validation_fraction", 0)  # fmt: skip
    found = manifest(tmp_path / "out")
    assert found["sentences"] == {"drops": {}, "read": 40, "shared_with": {}, "usable": 40}
    assert json.dumps(found["config"]["min_sentence_chars"]) == "8"
