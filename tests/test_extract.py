# ruff: noqa: E501, ISC004, W291 - golden texts are as they are
"""Raw documents made plain: golden texts, nothing invented, any input, linear time."""

import html
import time
from base64 import b64encode
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppt.text import markup
from ppt.text.extract import AUTO, EXTRACTORS, extractor_for
from ppt.text.markup import ExtractionError

GOLDEN = {
    "markdown": (
        """\
---
title: A page
---
# The *first* heading

A paragraph with **bold**, `code`, a [link](http://x.y "title"), <http://auto.link>
and ![an image](a.png)&copy; 2020. A star \\* stays.

* one item
* another
  that goes on

1. first

> Quoted text.

| a | b |
|---|---|
| 1 | 2 |

```python
code()
```

    indented code

<div>a block of HTML</div>

Setext
======

The end<br>is here.
""",
        """\
The first heading

A paragraph with bold, code, a link, 
and © 2020. A star * stays.

one item

another
that goes on

first

Quoted text.

Setext

The end
is here.""",
    ),
    "html": (
        """\
<!DOCTYPE html><html><head><title>T</title><style>p {color: red}</style></head><body>
<nav><a href="/">Home</a> <a href="/about">About</a></nav>
<main><article><h1>The heading</h1>
<p>A first paragraph, with <b>bold</b> words and a <a href="http://x.y">link</a> in it.</p>
<p>The second one says &quot;yes&quot; &amp; ends.</p>
<ol><li>One item that is long enough to be no part of a menu.</li>
<li>Another item, which says as much as the first one did.</li></ol>
<pre>code()</pre><table><tr><td>cell</td></tr></table>
<script>alert("x")</script><img src="a.png" alt="an image"></article></main>
<footer>Copyright</footer></body></html>
""",
        """\
The heading

A first paragraph, with bold words and a link in it.

The second one says "yes" & ends.

One item that is long enough to be no part of a menu.

Another item, which says as much as the first one did.""",
    ),
    "mail": (
        """\
From: Ann <ann@example.org>
To: list@example.org
Subject: Re: The plan
 that is long
Content-Type: text/plain; charset=utf-8

Hello all,

I think so too.

On Mon, 3 Jan 2022 at 10:00,
Bob <bob@example.org> wrote:
> Shall we do it?
>> It was asked before.

Yes, we shall.

-- 
Ann
+49 123
""",
        """\
Hello all,

I think so too.

Yes, we shall.""",
    ),
    "subtitles": (
        """\
1
00:00:01,000 --> 00:00:03,000
<i>It was a dark</i>

2
00:00:03,100 --> 00:00:05,000 X1:10
{\\an8}and stormy night.
[THUNDER]

3
00:00:20,000 --> 00:00:22,000
- Who is there?
- ANN: Only me.
4
00:00:22,500 --> 00:00:23,000
♪ Come in. ♪
""",
        """\
It was a dark
and stormy night.

Who is there?

Only me.
Come in.""",
    ),
    "script": (
        """\
ACT I
SCENE 2. A street.

Enter HAMLET and a Clown.

HAMLET. (aside) To be, or not to be,
that is the question.

CLOWN.
What, [pointing] this one?

INT. KITCHEN - NIGHT

          ANN (V.O.)
     I never said so.

Bob: Nor did I.
Bob: Never once.
                              CUT TO:
""",
        """\
To be, or not to be,
that is the question.

What,  this one?

I never said so.

Nor did I.

Never once.""",
    ),
}

PROSE = """\
It was late when the boat came in. Nobody had seen the old man that day, and the boy
asked twice. "He went out," said the woman, "before the sun."

They waited: an hour, then another. The sea was quiet – too quiet for the time of year.

« Vous voilà », dit-elle. Это был он. 他回来了。
"""


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_texts(name):
    raw, expected = GOLDEN[name]
    assert EXTRACTORS[name].prose(raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("---\nA rule above.\n\nNote this: a rule below.\n\n---\nThe end.", None),
        ("---\n# made by hand\n\ntitle: x\ntags:\n - a\n---\nProse.", "Prose."),
        ("+++\ntitle = 'x'\n+++\n\nProse.", "Prose."),
        ("---\n---\nProse.", "Prose."),
        (
            "[![Build][img]][1]\n\nSee [the text][1], [Ref] and [none][x].\n\n"
            "[1]: http://a.b\n[ref]: http://c.d 'T'\n[img]: e.png",
            "See the text, Ref and [none][x].",
        ),
    ],
)
def test_front_matter_and_links_of_markdown(raw, expected):
    rules = "A rule above.\n\nNote this: a rule below.\n\nThe end."
    assert EXTRACTORS["markdown"].prose(raw) == (expected or rules)


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        (
            "html",
            "<p>私は<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>を読む。</p>",
            "私は漢字を読む。",
        ),
        (
            "html",
            '<p>It rose.<sup class="reference"><a href="#c1">[1]</a></sup> The 5<sup>th</sup> '
            '<a href="#x">link</a><a href="n.html" role="doc-noteref">2</a> fell.</p>',
            "It rose. The 5th link fell.",
        ),
        (
            "markdown",
            "It rose.[^1] `[^a]` fell[^b], [^ so].\n\n[^1]: As is *known*.\n\n[^b]: x",
            "It rose. [^a] fell, [^ so].\n\nAs is known.",
        ),
        ("html", "<p>A <del>bad</del> <ins>good</ins> word.</p>", "A good word."),
        ("html", "<p>A <s>bad</s> <strike>bad</strike> word.</p>", "A word."),
        ("markdown", "A ~~bad [old](x) `code`~~ *good* ~ word.", "A  good ~ word."),
        (
            "html",
            "<div>One:<table><tr><td>cell</table>two<ul><li>item</ul>three<aside>no</aside>four"
            "<details><summary>Five</summary>six</details></div>",
            "One:\n\ntwo\n\nthree\n\nfour\n\nFive\n\nsix",
        ),
        (
            "mail",
            "From: a\nContent-Type: text/html\n\n<p>My answer.</p><blockquote>Theirs.</blockquote>",
            "My answer.",
        ),
        ("mail", "Mine.\n\nFrom: Joe <j@k.l>\nSent: Monday\nTo: me\n\nHis.", "Mine."),
        ("mail", "Meine.\n\n*Von:* Joe\n*Gesendet:* Montag\n\nSeine.", "Meine."),
        ("mail", "Mine.\n\nFrom: Joe\nTo: me\nCc: her\nSubject: x\n\nHis.", "Mine."),
        (
            "mail",
            "We go.\nFrom: Berlin\nTo: Paris\nCome too.",
            "We go.\nFrom: Berlin\nTo: Paris\nCome too.",
        ),
        (
            "mail",
            "So.\nFrom: here it\ngoes.\nHash: browns.",
            "So.\nFrom: here it\ngoes.\nHash: browns.",
        ),
        (
            "subtitles",
            "1\n00:00:01,0 --> 00:00:02,0\n>> JOHN: Hi.\n&gt;&gt;&gt; Who?\n",
            "Hi.\n\nWho?",
        ),
        (
            "subtitles",
            "1\n00:00:01,0 --> 00:00:02,0\n[thunder\nrolls] Ah. (he\nsighs)\nÉLISE:\nOui.\n"
            "MAN #2: No.\nAnn: a.\n",
            "Ah.\n\nOui.\n\nNo.\nAnn: a.",
        ),
        (
            "script",
            "CLÉANTE.\nBonjour.\n\nÉlise: Oui.\nÉlise: Non.\nété: un.\nété: deux.\nМАША. Да.\n他说：是\n",
            "Bonjour.\n\nOui.\n\nNon.\nété: un.\nété: deux.\n\nДа.\n他说：是",
        ),
    ],
)
def test_what_others_wrote_or_how_it_is_read_goes(name, raw, expected):
    assert EXTRACTORS[name].prose(raw) == expected


@pytest.mark.parametrize(
    "before", ['<?xml version="1.0"?>\n<!DOCTYPE html>\n<html>', "<html xmlns='x'>"]
)
@pytest.mark.parametrize("head", ["<title/>", '<title>T</title><script src="a.js"/>'])
def test_an_empty_element_of_xhtml_takes_nothing_with_it(before, head):
    body = '<p><s/>A sentence<br />of two lines.</p><p class="x"/><p>Another <a id="b"/>one.</p>'
    raw = f"{before}<head>{head}</head><body>{body}<canvas>No canvas.</canvas></body></html>"
    assert EXTRACTORS["html"].prose(raw) == "A sentence\n\nof two lines.\n\nAnother one."


def test_webvtt():
    raw = """\
WEBVTT - a title

NOTE a comment
of two lines

STYLE
::cue {color: red}

intro
00:01.000 --> 00:03.000 align:start
<v Ann>Captions <00:02.000>that roll

00:03.000 --> 00:05.000
Captions that roll
show a line twice.
"""
    assert EXTRACTORS["subtitles"].prose(raw) == "Captions that roll\nshow a line twice."


def test_a_blank_line_ends_no_cue_of_subrip():
    raw = (
        "1\n00:00:01,000 --> 00:00:02,000\n\nRock &amp; roll\nsince 1984.\n\nYes.\n\n"
        "2\n00:00:03,000 --> 00:00:04,000\n\n\n3\n00:00:04,000 --> 00:00:05,000\n1984\n\n4\n"
        "00:00:05,000 --> 00:00:06,000\nEnd.\n"
    )
    found = EXTRACTORS["subtitles"].prose(raw)
    assert found == "Rock & roll\nsince 1984.\nYes.\n1984\nEnd."
    loose = raw.replace(",000 -->", " -->").replace("5,000", "5, 000")
    assert EXTRACTORS["subtitles"].prose(loose) == found


MAIL_BODY = "Gr=C3=BC=C3=9Fe an alle, und ein langer Satz, der umgebrochen =\nwird."


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (f"Subject: x\nContent-Transfer-Encoding: quoted-printable\n\n{MAIL_BODY}",
         "Grüße an alle, und ein langer Satz, der umgebrochen wird."),
        ("Subject: x\nContent-Transfer-Encoding: base64\n\nWWVzLg==\n", "Yes."),
        ("Subject: x\nContent-Transfer-Encoding: quoted-printable\n\n中文 =E2=80=94 café, caf=C3=A9",
         "中文 — café, café"),  # some of its bytes were sent as they are
        ('Subject: x\nContent-Type: multipart/alternative; boundary="b"\n\n--b\nContent-Type: '
         "text/html\n\n<p>No.</p>\n--b\nContent-Type: text/plain\n\nYes.\n--b--\n", "Yes."),
        ("Subject: x\nContent-Type: text/html\n\n<p>Only this.</p>", "Only this."),
        ("\nSubject: x\nContent-Transfer-Encoding: BASE64 (of old)\n\nWWVzLg==\n", "Yes."),
        ('Subject: x\nContent-Transfer-Encoding: "quoted-printable"\n\n=59es.', "Yes."),
        ("From a Mon 10:00:00 2024\nSubject: x\n\nYes.\n\nFrom here on\nall: good", "Yes.\n\n"
         "From here on\nall: good"),
        ('Subject: x\nContent-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/html\n\n'
         "<p>The body.</p>\n--b\nContent-Type: text/plain\n\nTo leave the list, write to us.\n"
         "--b--\n", "The body."),
        ('Subject: x\nContent-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/html\n\n'
         "<p>See below.</p>\n--b\nContent-Type: message/rfc822\n\nSubject: y\n\nAnother's.\n"
         "--b--\n", "See below."),
        ('Subject: x\nContent-Type: multipart/alternative; boundary="b"\n\n--b\nContent-Type: '
         "text/plain\n\n \n--b\nContent-Type: text/html\n\n<p>Yes.</p>\n--b--\n", "Yes."),
        ("Subject: x\nContent-Type: text/plain; charset=ISO-8859-1\nContent-Transfer-Encoding: "
         "quoted-printable\n\n=93Yes,=94 he=92s =E9t=E9.", "“Yes,” he’s été."),
        ("Subject: x\nContent-Type: text/plain; charset=gb2312\nContent-Transfer-Encoding: base64\n\n"
         f"{b64encode('朱镕基说。'.encode('gbk')).decode()}\n", "朱镕基说。"),
        *((f'Subject: x\nContent-Type: text/plain; charset="{name}"\n\n{"水。".encode(name).decode()}',
           "水。") for name in ("iso-2022-jp", "hz-gb-2312", "utf-7")),
        ("In article <1@a.b>, X writes:\n|> Old.\n\nYes.\n|yes|", "Yes.\n|yes|"),
        ("No headers here.\n\nAm 3. Mai schrieb Ann:\n> Zitat\n\nGut.", "No headers here.\n\nGut."),
        ("Yes.\n>From here on\nall is good.", "Yes.\nFrom here on\nall is good."),
        (">From the start.\n\nX wrote:\n\n>From afar\n\nYes.\n> Old.\n>From old.\n\nNo.\n>From her\n"
         ">to him.", "From the start.\n\nYes.\n\nNo."),
        ("Yes.\n-----Original Message-----\nFrom: X\n\nOld.", "Yes."),
        ("Yes.\n_______________________________________________\nlist mailing list", "Yes."),
        ("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA1\n\nYes.\n-----BEGIN PGP SIGNATURE-----\n"
         "iQ\n-----END PGP SIGNATURE-----\nP.S. No.", "Yes.\nP.S. No."),
        ("He said: a > b.\nWe know that Ann wrote:\nnothing.",
         "He said: a > b.\nWe know that Ann wrote:\nnothing."),
    ],
)  # fmt: skip
def test_mails(raw, expected):
    assert EXTRACTORS["mail"].prose(raw) == expected


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("mail", "Subject: x\nContent-Type: image/png\n\nxx", "no text in the mail.*image/png"),
        ("mail", "Subject: x\nContent-Type: text/plain; charset=no-such\n"
         "Content-Transfer-Encoding: base64\n\n/w==", "not 'no-such'"),
        ("mail", "Subject: x\nContent-Type: text/plain; charset=punycode\n"
         "Content-Transfer-Encoding: base64\n\nYQ==", "not 'punycode'"),
        ("mail", "Subject: x\nContent-Transfer-Encoding: base64\n\n中文", "not 'utf-8': 'ascii'"),
        ("mail", "Subject: x\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n", "in 'x-uuencode'"),
        ("mail", "From a Mon 10:00:00 2024\nSubject: x\n\nA.\n\nFrom b Mon 10:00:01 2024\nSubject: "
         "y\n\nB.", "several mails in one"),
        *(("mail", f"Subject: x\nContent-Disposition: inline; {name}\n\nx", "headers cannot be read")
          for name in ("filename*=idna''a", "filename*=utf-8''a; filename*0=b")),
        ("mail", f"Subject: x\nContent-Disposition: inline; filename*{'9' * 5000}=a\n\nx",
         "a header of 5040 characters, 2000 at most"),
        ("mail", 'Subject: x\nContent-type: multipart/mixed;"' + "\n ;" * 1000 + "\n\nx",
         "a header of 3031 characters, 2000 at most"),
        ("subtitles", "{0}{25}Yes.\n{26}{50}No.", "convert it"),
        ("subtitles", "[Events]\nDialogue: 0,0:00:01.00,0:00:03.00,,,Yes.", "convert it"),
        ("html", "<p>" + "".join(f"<b id={n}>" for n in range(500)) + "</p>" + "<p>x" * 4000,
         "2130252 elements, 2000000 at most"),
        ("html", "<div>" * 600 + "x", "600 elements within each other, 512 at most"),
        ("html", "<select>" + "<OPTION >a" * 150_000, "150000 options of forms, 5000 at most"),
        ("html", "x" * (markup.LONGEST_MARKUP + 1), "2000001 characters of markup"),
        ("markdown", "x" * (markup.LONGEST_MARKUP + 1), "2000001 characters of markup"),
    ],
)  # fmt: skip
def test_what_cannot_be_extracted_is_told(name, raw, message):
    with pytest.raises(ExtractionError, match=message):
        EXTRACTORS[name].prose(raw)


def test_html_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(markup, "is_there", lambda _: False)
    with pytest.raises(ExtractionError, match=r"\[html\]"):
        EXTRACTORS["html"].prose("<p>x</p>")


@pytest.mark.parametrize("name", EXTRACTORS)
def test_plain_prose_stays_as_it_is(name):
    once = EXTRACTORS[name].prose(PROSE)
    assert once.split() == PROSE.split()
    if name != "html":  # its white space means nothing, so its paragraphs go
        assert once.strip() == PROSE.strip()


@pytest.mark.parametrize(
    ("asked", "extension", "name"),
    [(AUTO, ".md", "markdown"), (AUTO, ".htm", "html"), (AUTO, ".eml", "mail"),
     (AUTO, ".vtt", "subtitles"), (AUTO, ".jsonl", "none"), ("mail", ".md", "mail")],
)  # fmt: skip
def test_the_name_of_a_file_asks_for_its_extractor(asked, extension, name):
    assert extractor_for(asked, extension) == name


# ---- properties

PIECES = [
    "word", "Mr.", "Ann", "the end.", " ", " ", "\n", "\n\n", "# ", "* ", "1. ", "> ", "```\n", "`",
    "**", "_", "[", "](", ")", "(", "]", "|", "|-|-|\n", "<b>", "</b>", "<p>", "<div", ">", "&amp;",
    "&copy;", "&", "\\", "<!--", "-->", "<script>", "On Monday Ann wrote:\n", "-- \n", "From: a\n",
    "Content-Type: multipart/mixed; boundary=b\n", "--b\n", "Content-Transfer-Encoding: base64\n",
    "00:00:01,000 --> 00:00:02,000\n", "WEBVTT\n", "1\n", "{\\an8}", "♪", "ANN: ", "HAMLET.\n",
    "INT. HOUSE", "[aside]", "---\n", "    ", "\t", "é", "中文。", "<br>", "<![CDATA[", "___________",
]  # fmt: skip
messy = st.lists(st.sampled_from(PIECES), max_size=60).map("".join) | st.text(max_size=80)


def letters(text):
    return [sign for sign in html.unescape(text) if sign.isalnum()]


def is_subsequence(part, whole):
    rest = iter(whole)
    return all(sign in rest for sign in part)


@pytest.mark.parametrize("name", EXTRACTORS)
@given(messy)
@settings(max_examples=120, deadline=None)
def test_any_text_gives_prose_of_its_own_letters_or_a_reason(name, text):
    text = text.replace("\0", "")
    try:
        prose = EXTRACTORS[name].prose(text)
    except ExtractionError:
        return
    if name == "mail" and "base64" in text:
        return  # its letters are not those that it shows
    if not is_subsequence(letters(prose), letters(text)):
        assert is_subsequence(letters(html.unescape(prose)), letters(html.unescape(text)))


NASTY = {
    "markdown": ["[", "![a](b", "*a ", "a_", "`a``", "> ", "- a\n", "|a", "|a|b|\n", "<a href=\"",
                 "&amp;", "\\", "a\n===\n", "~~a", "[a]: b\n", "  - a\n", "<!--"],
    "html": ["<", "&", "<a x=1 ", "<!--", "<table><tr>", "<p>a", "<ul><li>", "<script>", "<a><p>",
             "<br>a", "</p>", "<p><br>", "a b. ", "<?xml <a "],
    "mail": [">", "> a\n", "On a wrote:\n", "a:\n", "Content-Type: multipart/mixed; boundary=b\n\n--b\n",
             "-- a\n", "-----BEGIN PGP ", "Received: a\n\tb\n", "____________________a\n"],
    "subtitles": ["00:00:01,000 --> 00:00:02,000\n", "1\n", "<", "{", "[", "(", "0:", "- ", "A",
                  "00:00:01.000 -->\na\n\n"],
    "script": ["(", "[", "A", "A.", "A. ", "ACT ", "Bob: x\n", " ", "INT", "ANN\n", "(a[b"],
}  # fmt: skip


def seconds(name, text):
    start = time.process_time()
    with suppress(ExtractionError):
        EXTRACTORS[name].prose(text)
    return time.process_time() - start


@pytest.mark.parametrize("name", NASTY)
def test_time_is_linear_in_length(name):
    size = 6_000 if name == "markdown" else 100_000  # its parser takes 10 µs a character
    for piece in NASTY[name]:
        head = "Subject: x\n" if name == "mail" else ""
        took = seconds(name, head + piece * (size // len(piece)))
        assert took < 1, f"{took:.1f} s for {piece!r}"
