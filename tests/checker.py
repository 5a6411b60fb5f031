"""An independent reader's check of built corpora against the documents they came from.

It knows nothing of pools or indices: it splits the documents itself (NLTK's own
Punkt on each paragraph), finds every text of every row in them again, and tells
whether the row says the truth. Run by hand on a large corpus:

    python -m tests.checker corpora/ 'documents/*.jsonl.gz' [excluded.jsonl ...]

It also tells whether a document of one split has 0.8 of its shingles of eight words in one of
the other, whether a sentence stands twice in the corpus, and whether one shares words with the
rows that were excluded.
"""

import gzip
import hashlib
import json
import math
import re
import statistics
import sys
import unicodedata
from collections import Counter, defaultdict
from functools import cache
from glob import glob
from pathlib import Path

import pyarrow.parquet as pq
from nltk.tokenize.punkt import PunktSentenceTokenizer

from ppt.text.sentences import join_markers, load_punkt

PUNKT = Path(__file__).parents[1] / "ppt/data/punkt/english"
CAPS = (90, 120, 150, 200, 300, 400)
ENDS = ".!?…。！？ "
MARKS = """"'‘’„‹›()[]{}“”«»「」『』（）《》"""
"""Which a row has whole or not at all."""
_MARKS = re.compile(f"[{re.escape(MARKS)}]")
PAIR, SENTIMENT = ["no", "maybe", "yes"], ["terrible", "bad", "maybe", "good", "great"]


@cache
def letters(text):
    """What is left of a text when case, digits and signs are put aside."""
    return re.sub(r"\d", "0", re.sub(r"[\W_]+", "", text.casefold()))


def leading(text):
    """The letters by which two sentences are near-equal."""
    end = text.rfind(" ", 45, 91)
    return letters(text if len(text) <= 90 else text[: end if end > 0 else 90])[:48]


def words(text):
    return re.findall(r"[^\W_]+", text.replace(" n't", "n't").lower())


def runs(found, n):
    return {tuple(found[i : i + n]) for i in range(len(found) - n + 1)}


def shingles(text):
    found = words(text)
    return runs(found, min(8, len(found))) if found else set()


@cache
def punkt():
    return PunktSentenceTokenizer(load_punkt(PUNKT))


def split(text):
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        found += [" ".join(s.split()) for s in punkt().tokenize(paragraph)]
    found = join_markers([s for s in found if s])  # "III." belongs to what follows
    return [s for s in found if any(map(str.isalpha, s))]  # others part no neighbours


@cache
def marks_alone(text):
    """Whether a text opens a quotation or bracket that it does not close, or the reverse."""
    if text.count('"') % 2:
        return True
    begins = re.match(r"['‘](?!\d\ds?\b|[Tt](is|was|were|will|would|ain)\b|[a-z]{1,7}\b)\w", text)
    if begins and not re.search(r"['’](?![\w'’])", text[1:]):
        return True
    if re.search(r"[.,!?]['’]\Z", text) and not re.search(r"(?<!\w)['‘]\S", text):
        return True
    text = re.sub("„([^“”]*)[“”]", r"\1", text).replace("„", "“")
    spared = re.sub(r"\A\(?\w{1,3}\)|[:;=8]-?[()]", "", text)  # lists, faces
    pairs = ("()", "[]", "{}", "“”", "«»", "‹›")
    return all(any(one.count(a) != one.count(b) for a, b in pairs) for one in (text, spared))


def bare(text):
    """A text without quotation marks and brackets."""
    return " ".join(_MARKS.sub("", text).split())


def holding(sentence, text):
    """How much of a sentence, with its marks, holds `text`, which its bare form begins with."""
    left = len(text.replace(" ", ""))
    for place, sign in enumerate(sentence):
        counts = not (sign.isspace() or sign in MARKS)
        if not left and (counts or sign.isspace()):
            return place
        left -= counts
    return len(sentence)


def is_cut(sentence, text):
    """Whether `text` is `sentence`, or its start: up to a clause, or as many words as a cap takes.

    Marks aside, but where words are counted: those of the sentence that are no longer there took
    their place before it was cut.
    """
    whole, text = bare(sentence), bare(text)
    if whole.rstrip(ENDS) == text.rstrip(ENDS):
        return True
    if not whole.startswith(text):
        return False
    left = whole[len(text) :]
    if left.lstrip(ENDS)[:1] in set(",;:，；：、–—-"):
        return True
    place = holding(sentence, text)
    accents = re.match(r"[^\w\s]*", sentence[place + 1 :])[0]  # they stay with their letter
    if any(len(text) <= cap <= place + max(4, 1 + len(accents))
           and " " not in sentence[(cap + 1) // 2 : place] for cap in CAPS):  # fmt: skip
        return True  # a word of half the cap and more, such as an address, is cut within
    signs = len(left) - len(left.lstrip(ENDS))
    if " " not in left[:signs]:
        return False
    more = whole.find(" ", len(text) + signs)
    longer = holding(sentence, whole if more < 0 else whole[:more])
    return any(len(text) <= cap < longer for cap in CAPS)


def by_overlap(rows, tested):
    """How often the option of the largest tf-idf cosine with the anchor is the answer."""
    texts = {text for row in rows for text in (row["text_a"], row["text_b"], *row["options"])}
    counts = {
        text: Counter(re.findall(r"\w+", text.casefold())) for text in texts if text is not None
    }
    uses = Counter(word for one in counts.values() for word in one)

    def vector(text):
        weights = {
            word: n * (math.log((1 + len(counts)) / (1 + uses[word])) + 1)
            for word, n in counts[text].items()
        }
        norm = math.sqrt(sum(w * w for w in weights.values())) or 1
        return {word: weight / norm for word, weight in weights.items()}

    right = 0
    for row in tested[1::2]:
        anchor = vector(row["text_a"])
        options = [vector(option) for option in row["options"]]
        scores = [sum(w * one.get(word, 0) for word, w in anchor.items()) for one in options]
        right += scores.index(max(scores)) == row["label"]
    return right / max(len(tested[1::2]), 1)


class Source:
    """The documents by key, with their own sentences; where each beginning stands."""

    def __init__(self, documents, splitter=split):
        self.sentences, self.ids, self.split_of = {}, defaultdict(set), {}
        self.places = defaultdict(list)
        self.found = {}
        self.texts, self.standing = {}, defaultdict(list)
        for identity, raw in documents:
            text = unicodedata.normalize("NFC", raw.removeprefix("\ufeff"))
            text = text.replace("\u2028", "\n").replace("\u2029", "\n\n")
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            folded = " ".join(text.split()).encode()
            key = hashlib.blake2b(folded, digest_size=16).hexdigest()[:16]
            self.ids[key].add(identity)
            if key not in self.sentences:
                self.texts[key] = text
                self.sentences[key] = splitter(text)
                if len(self.sentences[key]) > 1:
                    for sentence in self.sentences[key]:
                        self.standing[leading(sentence)].append(key)
                for position, sentence in enumerate(self.sentences[key]):
                    self.places[letters(sentence)[:24]].append((key, position))

    def find(self, text):
        """Every (document, position) whose sentence is `text`, or is cut to it at a word's end."""
        if text not in self.found:
            begin = letters(text)[:24]
            cut_short = () if len(begin) == 24 else (k for k in self.places if k.startswith(begin))
            places = self.places.get(begin) or [one for k in cut_short for one in self.places[k]]
            self.found[text] = [
                (key, position)
                for key, position in places
                if is_cut(self.sentences[key][position], text)
            ]
        return self.found[text]


class Checker:
    def __init__(self, folder, source, excluded=()):
        self.folder, self.source = Path(folder), source
        rows = [words(re.sub("-[lr]rb-", "", text)) for text in excluded]
        self.excluded = {n: set() for n in range(1, 14)}
        for row in filter(None, rows):
            self.excluded[min(len(row), 13)] |= runs(row, min(len(row), 13))
        self.faults, self.rows = Counter(), Counter()
        self.first = {}
        self.splits, self.anchors = defaultdict(set), set()
        self.positions = defaultdict(Counter)
        self.lengths = defaultdict(list)
        self.cuts, self.shingles, self.wholes = [], {}, {}
        self.pair_labels = Counter()

    def fault(self, what, row):
        self.faults[what] += 1
        self.first.setdefault(what, row)

    def check(self, formats):
        for name in formats:
            manifest = json.loads((self.folder / name / "manifest.json").read_text())
            seen, train = set(), []
            for split_name, shards in manifest["shards"].items():
                for shard in shards:
                    data = (self.folder / name / shard["name"]).read_bytes()
                    if hashlib.sha256(data).hexdigest() != shard["sha256"]:
                        self.fault("sha256", shard)
                    for row in pq.read_table(self.folder / name / shard["name"]).to_pylist():
                        if row["id"] in seen:
                            self.fault("id twice", row)
                        seen.add(row["id"])
                        self.rows[name, split_name] += 1
                        if split_name == "train":
                            train.append(row)
                        self.row(name, split_name, row)
            self.check_manifest(manifest, train)
        self.check_balance()
        self.over_the_split(manifest)
        for (name, n), counts in self.positions.items():
            expected = sum(counts.values()) / n
            chi = sum((counts[i] - expected) ** 2 / expected for i in range(n))
            # Four standard deviations above the mean of chi-square with n - 1 degrees.
            if chi > (n - 1) + 4 * (2 * (n - 1)) ** 0.5:
                self.fault(f"positions of {name} with {n} options not even", dict(counts))
        return self

    def over_the_split(self, manifest):
        """What no document, near duplicate or sentence may do."""
        both = self.splits["train"] & self.splits["validation"]
        if both:
            self.fault("document in both splits", min(both))
        config = manifest["config"]
        dropping = config["near_duplicates"] == "drop"
        kept = set.union(*self.splits.values()) if dropping else self.source.sentences.keys()
        for key, position in sorted(self.anchors):
            self.unwanted(key, self.source.sentences[key][position], kept)
        if manifest["near_duplicates"]:
            for pair in self.parted(manifest["near_duplicates"]["rule"]["common"]):
                self.fault("near duplicates over the split", pair)

    def parted(self, common):
        """Pairs over the split of which one holds 0.8 of the other, but for common shingles."""
        known = self.source.texts.keys()
        validation, train = (sorted(self.splits[name] & known) for name in ("validation", "train"))
        sets = {key: shingles(self.source.texts[key]) for key in validation}
        where = defaultdict(list)
        for key in validation:
            for shingle in sets[key]:
                where[shingle].append(key)
        shared, counts, sizes = Counter(), Counter(), {}
        for key in train:
            own = shingles(self.source.texts[key])
            sizes[key] = len(own)
            for shingle in own & where.keys():
                counts[shingle] += 1
                for other in where[shingle] if len(where[shingle]) <= common else ():
                    shared[other, key] += 1
        many = {s for s, n in counts.items() if n + len(where[s]) > common}
        for (one, other), n in shared.items():
            if n >= 0.8 * min(len(sets[one]), sizes[other]):
                both = sets[one] & shingles(self.source.texts[other])
                if not both & many:
                    yield one, other, n / min(len(sets[one]), sizes[other])

    def related(self, keys):
        """Whether each of these documents holds about 0.8 of another one, or stands in it.

        A build counts samples, so some that hold a little less are related too.
        """
        for key in keys:
            if key not in self.shingles:
                self.shingles[key] = shingles(self.source.texts[key])
        return all(
            any(
                len(self.shingles[a] & self.shingles[b])
                > 0.5 * min(len(self.shingles[a]), len(self.shingles[b]))
                for b in keys
                if b != a
            )
            for a in keys
        )

    def unwanted(self, own, sentence, kept):
        """Whether a sentence that rows show stands once in the corpus, and in no excluded row.

        What only near duplicates of each other have stands in the first of them.
        """
        having = [key for key in self.source.standing[leading(sentence)] if key in kept]
        if len(having) > 1 and (own != min(having) or not self.related(sorted(set(having)))):
            self.fault("sentence stands twice", sentence)
        found = words(sentence)
        lengths = [len(found)] if len(found) < 8 else range(8, 14)
        if any(runs(found, n) & self.excluded[n] for n in lengths):
            self.fault("sentence shares words with an excluded row", sentence)

    def row(self, name, split_name, row):
        parts = row["id"].split("-")
        key, position = parts[0], int(parts[1])
        kind = {"multiple_choice": "choice", "sentence_pair": "pair"}.get(name, name)
        kind = parts[2] if len(parts) > 2 else kind
        if row["kind"] != kind:
            self.fault("kind", row)
        self.splits[split_name].add(key)
        sentences = self.source.sentences.get(key)
        if sentences is None or row["document_id"] not in self.source.ids[key]:
            self.fault("unknown document", row)
            return
        if position >= len(sentences) or (key, position) not in self.source.find(row["text_a"]):
            self.fault("anchor does not stand there", row)
            return
        self.anchors.add((key, position))
        if row["options"]:
            self.positions[name, len(row["options"])][row["label"]] += 1
        if any(map(marks_alone, [row["text_a"], row["text_b"] or "", *row["options"]])):
            self.fault("a mark without its other one", row)
        getattr(self, f"check_{kind}")(row, key, position)

    def relation(self, text, key, position):
        """yes, maybe or no, from the documents alone; None where they do not tell."""
        places = self.source.find(text)
        inside = [p for k, p in places if k == key]
        if any(abs(p - position) == 1 for p in inside):
            return "yes"
        if inside:
            return None if position in inside else "maybe"
        return "no" if places else None

    def check_pair(self, row, key, position):
        words = row["options"] or PAIR
        if sorted(words) != sorted(PAIR):
            self.fault("pair words", row)
        if not row["options"]:
            self.pair_labels[row["label"]] += 1
        if self.relation(row["text_b"], key, position) != words[row["label"]]:
            self.fault("pair label", row)

    def check_choice(self, row, key, position):
        options = row["options"]
        if len({letters(option)[:48] for option in options}) < len(options):
            self.fault("near-equal options", row)
        told = [self.relation(option, key, position) for option in options]
        if told[row["label"]] != "yes" or told.count("yes") != 1:
            self.fault("choice answer", row)
        n = len(options)
        if told.count("maybe") != (1 if n <= 6 else 2 if n <= 10 else 3):
            self.fault("choice composition", row)
        if told.count("no") != n - 1 - told.count("maybe"):
            self.fault("choice negatives", row)

        ended = [option[-1:] in set(ENDS) for option in options]
        whole = [self.whole(option) for option in options]
        if not all(whole) and any(ended):
            self.fault("a cut option among some that end", row)
        others = [not one for i, one in enumerate(whole) if i != row["label"]]
        self.cuts.append((not whole[row["label"]]) - statistics.mean(others))

    def whole(self, text):
        """Whether a text is a whole sentence of the documents, but for its last signs."""
        if text not in self.wholes:
            wanted = bare(text).rstrip(ENDS)
            self.wholes[text] = any(
                bare(self.source.sentences[key][position]).rstrip(ENDS) == wanted
                for key, position in self.source.find(text)
            )
        return self.wholes[text]

    def check_manifest(self, manifest, rows):
        """The mixture is what the rows have, and classes their shares; the baselines are what the
        rows give.
        """
        kinds = Counter(row["kind"] for row in rows)
        if manifest["format"] == "sentiment":
            shares = manifest["config"].get("shares", [1] * len(SENTIMENT))
            counts = Counter(row["label"] for row in rows)
            rounded = 16 * len(manifest["shards"]["train"]) * (len(set(shares)) > 1)
            for label, share in enumerate(shares):
                if abs(counts[label] - len(rows) * share / sum(shares)) > rounded:
                    self.fault("shares of classes", dict(counts))
        for kind, of in manifest["mixture"].items():
            if abs(of["met"] - kinds[kind] / max(len(rows), 1)) > 0.001:
                self.fault("mixture met", of)
            warned = any(f"are {kind}, --unified_mixture" in one for one in manifest["warnings"])
            if (of["met"] < 0.9 * of["asked"]) != warned:
                self.fault("mixture missed without a warning, or the reverse", of)
        for kind, of in manifest["shortcuts"].items():
            found = [row for row in rows[:2000] if row["kind"] == kind]
            if of["rows"] != len(found[1::2]):
                self.fault("rows of a baseline", of)
            if kind == "choice" and abs(of["overlap"] - by_overlap(rows[:2000], found)) > 0.002:
                self.fault("baseline of overlap", of)

    def check_balance(self):
        """Over all rows: lengths do not tell the class, cuts do not tell the answer."""
        if self.lengths:
            middles = [statistics.median(found) for found in self.lengths.values()]
            if min(map(len, self.lengths.values())) >= 200 and max(middles) > 1.15 * min(middles):
                self.fault("lengths of classes differ", middles)
        if len(self.cuts) > 500:  # an answer's against the mean of its row's other options
            more, spread = statistics.mean(self.cuts), statistics.stdev(self.cuts)
            if abs(more) > 0.06 + 4 * spread / len(self.cuts) ** 0.5:
                self.fault("answers are cut more or less often", more)

    def check_sentiment(self, row, key, position):
        self.lengths[(row["options"] or SENTIMENT)[row["label"]]].append(len(row["text_a"]))
        if row["text_b"] is not None or sorted(row["options"] or SENTIMENT) != sorted(SENTIMENT):
            self.fault("sentiment row", row)


def texts_in(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts_in(inner)


def main(folder, pattern, *excluded):
    def documents():
        for path in sorted(glob(pattern)):
            opener = gzip.open if path.endswith(".gz") else open
            with opener(path, "rt") as file:
                for line in file:
                    record = json.loads(line)
                    yield record["id"], record["text"]

    formats = sorted(p.parent.name for p in Path(folder).glob("*/manifest.json"))
    rows = (json.loads(line) for path in excluded for line in Path(path).read_text().splitlines())
    barred = [text for row in rows for text in texts_in(row)]
    checker = Checker(folder, Source(documents()), barred).check(formats)
    print("rows:", dict(checker.rows))
    print("pair labels:", dict(checker.pair_labels))
    print("faults:", dict(checker.faults) or "none")
    for what, row in checker.first.items():
        print("first", what, row)
    return 1 if checker.faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
