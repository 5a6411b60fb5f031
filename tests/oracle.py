"""The corpus formats in plain Python, one object per example: the oracle of the fast ones.

It shares with the product only the published numbers and the definition of the
random streams; every choice is made naively, over lists, one anchor at a time.
"""

import math
from collections import Counter, defaultdict

from ppt.base.streams import seed_bits
from ppt.base.text import content_key
from ppt.corpus.levels import THINNED
from ppt.corpus.likeness import BLOCK, COMMON, DOCUMENTS, LACKING, LOOK, SHARED
from ppt.corpus.options import option_caps, same_document_options
from ppt.corpus.sampling import SPARE, TRIES
from ppt.corpus.sentiment import MATCHED, MOST_BINS
from ppt.corpus.trim import ENDS, clause, whole

MASK = (1 << 64) - 1
DIRECTION, NUMBER, TASK, ORDER, PLACE, MIX, SAME, OTHER, SHUFFLE = 0, 1, 2, 3, 4, 5, 64, 128, 192
TURN, IN_BLOCK = 6, 320
PAIR_WORDS = ["no", "maybe", "yes"]
SENTIMENT_WORDS = ["terrible", "bad", "maybe", "good", "great"]


def mix(word):
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
    return word ^ (word >> 31)


def draw(word, counter):
    return mix((word + (counter + 1) * 0x9E3779B97F4A7C15) & MASK)


def pick(word, counter, bound):
    return ((draw(word, counter) >> 32) * bound) >> 32


def evenly(labels, amount, draws):
    """`amount` of {i: label}, round by round of all labels, by their draws."""
    turns = {}
    for label in set(labels.values()):
        members = sorted((i for i in labels if labels[i] == label), key=draws.get)
        turns.update({i: (number, draws[i]) for number, i in enumerate(members)})
    return sorted(sorted(turns, key=turns.get)[:amount])


class Sentence:
    def __init__(self, document, number, position, text, word):
        self.document, self.number, self.position = document, number, position
        self.text, self.word = text, word

    def near(self, other):
        return self.number == other.number and abs(self.position - other.position) <= 1


def usable(documents, seed, min_chars=20, max_chars=600):
    """The sentences that may stand in examples, in order, and why the others may not."""
    count = Counter(content_key(s) for d in documents for s in d.sentences)
    sentences, drops = [], Counter()
    for number, document in enumerate(documents):
        root = seed_bits(seed, document.key)
        position = -1
        for text in document.sentences:
            key = content_key(text)
            lettered = any(sign.isalpha() for sign in text)
            position += lettered  # what has no letters parts no neighbours
            if len(text) < min_chars:
                drops["too_short"] += 1
            elif len(text) > max_chars:
                drops["too_long"] += 1
            elif not lettered or len(key) < (48 if len(text) > 90 else 3):
                drops["too_few_letters"] += 1
            elif count[key] > 1:
                drops["repeated"] += 1
            elif any(other != key and other.startswith(key) for other in count):
                drops["beginning"] += 1
            else:
                word = mix(root ^ mix(position))
                sentences.append(Sentence(document, number, position, text, word))
    return sentences, drops


def words(text):
    """The buckets of the words of a text."""
    data = bytearray(text.encode())
    for i in range(len(data)):
        if data[i] < 128:
            data[i] = ord(chr(data[i]).lower()) if chr(data[i]).isalnum() else 0
    for i in range(len(data) - 2):
        if bytes(data[i : i + 2]) in (b"\xe2\x80", b"\xe2\x81", b"\xe3\x80"):
            data[i : i + 3] = bytes(3)
    found = []
    for i, letter in enumerate(data):
        if letter and (i == 0 or not data[i - 1] or letter >= 0xE3):
            end = data.find(0, i)
            end = len(data) if end < 0 else end
            key = int.from_bytes(data[i : min(end, i + (6 if letter >= 0xE3 else 8))], "little")
            found.append((key * 0x9E3779B97F4A7C15 & MASK) >> 46)
    return found


class Likeness:
    """Blocks of like sentences, by lists."""

    def __init__(self, pool):
        self.pool, n = pool, len(pool)
        found = [words(sentence.text) for sentence in pool]
        uses = Counter(word for one in found for word in one)
        self.words = [{w for w in one if uses[w] > 1 and uses[w] * COMMON <= n} for one in found]
        self.having = defaultdict(list)
        for i, one in enumerate(self.words):
            for word in one:
                self.having[word].append(i)
        by_chance = sorted(range(n), key=lambda i: pool[i].word)
        mixed = {i: place for place, i in enumerate(by_chance)}
        by_length = sorted(range(n), key=lambda i: (len(pool[i].text), mixed[i]))
        by_look = sorted(range(n), key=lambda i: (*self.look(i), len(pool[i].text), mixed[i]))
        self.mixed = mixed
        self.length_rank = {i: place for place, i in enumerate(by_length)}
        self.look_rank = {i: place for place, i in enumerate(by_look)}
        self.by_look = by_look

    def look(self, i):
        text = self.pool[i].text
        return ".?!".find(text[-1]), text[0].isupper(), '"' in text or "“" in text

    def link(self, i, j):
        """The word that neighbours share, or None."""
        if i == j:  # an anchor without an answer stands for it
            j = i + 1
        i, j = min(i, j), max(i, j)
        if j >= len(self.pool) or not self.pool[i].near(self.pool[j]):
            return None
        serving = [
            word
            for word in self.words[i] & self.words[j]
            if len({self.pool[k].number for k in self.having[word]}) >= DOCUMENTS
        ]

        def of_document(word):
            return sum(self.pool[k].number == self.pool[i].number for k in self.having[word])

        return min(
            serving,
            key=lambda word: (of_document(word) < 3, len(self.having[word]), -word),
            default=None,
        )

    def block(self, ordered, i):
        """The block of `ordered` sentences that i is in, shuffled."""
        blocks = max(len(ordered) // BLOCK, 1)
        number = [place * blocks // len(ordered) for place in range(len(ordered))]
        mine = number[ordered.index(i)]
        members = [j for j, one in zip(ordered, number, strict=True) if one == mine]
        return sorted(members, key=self.mixed.__getitem__)

    def blocks(self, anchor, answer, beside):
        """Those of the word that links, of each sentence `beside`; then those of their looks."""
        word = self.link(anchor, answer)
        for one in beside if word is not None else ():
            ordered = sorted(self.having[word], key=self.length_rank.get)
            yield self.block(ordered, one if one in ordered else answer)
        if word is None:
            yield from [None] * len(beside)
        yield from (self.block(self.by_look, one) for one in beside)

    def cost(self, i, j, word):
        both = {w % 256 for w in self.words[i]} & {w % 256 for w in self.words[j]}
        places = [self.look_rank[one] * LOOK // len(self.pool) for one in (i, j)]
        has = word is not None and word % 256 in {w % 256 for w in self.words[j]}
        return SHARED * len(both) + abs(places[0] - places[1]) - LACKING * has


class Oracle:
    def __init__(self, documents, options, probabilities=None, min_chars=20, max_chars=600):
        self.options = options
        self.pool, self.drops = usable(documents, options.seed, min_chars, max_chars)
        self.probabilities = probabilities
        by_document = defaultdict(list)
        for i, sentence in enumerate(self.pool):
            by_document[sentence.number].append(i)
        limit = options.max_examples_per_document or len(self.pool) + 1
        self.anchors = sorted(
            i
            for members in by_document.values()
            for i in sorted(members, key=lambda i: draw(self.pool[i].word, ORDER))[:limit]
        )
        self.by_document = by_document
        self.like = Likeness(self.pool)

    def word(self, i, name):
        return mix(self.pool[i].word ^ seed_bits(0, name))

    def adjacent(self, i, word):
        before, after = [
            j if 0 <= j < len(self.pool) and self.pool[i].near(self.pool[j]) else None
            for j in (i - 1, i + 1)
        ]
        if self.options.adjacency == "next":
            return after
        if self.options.adjacency == "previous":
            return before
        if before is not None and after is not None:
            return after if draw(word, DIRECTION) & 1 else before
        return after if after is not None else before

    def distant(self, i):
        return [
            j for j in self.by_document[self.pool[i].number] if not self.pool[i].near(self.pool[j])
        ]

    def elsewhere(self, i):
        """How many sentences other documents have, and the n-th of them."""
        members = self.by_document[self.pool[i].number]
        first = members[0]

        def nth(n):
            return n if n < first else n + len(members)

        return len(self.pool) - len(members), nth

    def draw_same(self, i, answer, k, word):
        distant = self.distant(i)
        left = list(distant)
        drawn = [left.pop(pick(word, SAME + j, len(left))) for j in range(k)]
        link = self.like.link(i, answer)
        for j in range(k):
            first = distant.index(drawn[j])
            tries = [distant[(first + turn) % len(distant)] for turn in range(TRIES)]
            free = [one for one in tries if one not in drawn[:j] + drawn[j + 1 :]]
            drawn[j] = min(free, key=lambda one: self.like.cost(answer, one, link))
        return drawn

    def draw_other(self, i, beside, k, word):
        """`beside` are the answer and the other options of its document."""
        coin = pick(word, TURN, len(beside))
        turned = [*beside[coin:], *beside[:coin]]
        drawn, start = [], 0
        for step, block in enumerate(self.like.blocks(i, beside[0], turned)):
            place = step % len(beside)
            start = len(drawn) if place == 0 else start
            wanted = start + (k - start) * (place + 1) // len(beside)
            if block is None or len(drawn) >= wanted:
                continue
            turn = pick(word, IN_BLOCK + step, len(block))
            seen = [*block[turn:], *block[:turn]][: math.ceil(k / len(beside)) + SPARE]
            self.take(drawn, seen, i, wanted)
        total, nth = self.elsewhere(i)
        taken = []
        for j in range(k):
            n = pick(word, OTHER + j, total - j)
            for earlier in sorted(taken):
                n += n >= earlier
            taken.append(n)
        self.take(drawn, [nth(n) for n in taken], i, k)
        return drawn

    def take(self, drawn, seen, i, wanted):
        """Those of other documents that are not drawn yet."""
        for one in seen:
            stranger = self.pool[one].number != self.pool[i].number
            if len(drawn) < wanted and stranger and one not in drawn:
                drawn.append(one)

    def thinned(self, labels, draws):
        """Those of {i: label} to keep, so that labels are even; all where that costs too much."""
        counts = Counter(labels.values())
        level = min(counts.values(), default=0) * len(counts)
        if level < len(labels) * (1 - THINNED):
            return labels
        return {i: labels[i] for i in evenly(labels, level, draws)}

    def sentence_pair(self):
        """[(order key, anchor, second, label)] in corpus order."""
        groups = defaultdict(list)
        words = {i: self.word(i, "sentence_pair") for i in self.anchors}
        for i in self.anchors:
            feasible = (
                self.elsewhere(i)[0] > 0, bool(self.distant(i)),
                self.adjacent(i, words[i]) is not None,
            )  # fmt: skip
            groups[feasible].append(i)
        totals, labels = [0, 0, 0], {}
        code = {f: sum(1 << n for n in range(3) if f[n]) for f in groups}
        for feasible in sorted(groups, key=lambda f: (sum(f), code[f])):
            if not any(feasible):
                continue
            added = [0, 0, 0]
            for _ in groups[feasible]:
                lowest = min((totals[n] + added[n], n) for n in range(3) if feasible[n])[1]
                added[lowest] += 1
            members = sorted(groups[feasible], key=lambda i: draw(words[i], PLACE))
            for n in range(3):
                for i in members[: added[n]]:
                    labels[i] = n
                members = members[added[n] :]
                totals[n] += added[n]
        rows = []
        labels = self.thinned(labels, {i: draw(words[i], MIX) for i in labels})
        for i in self.anchors:
            if i in labels:
                near = self.adjacent(i, words[i])
                like = i if near is None else near
                second = [
                    lambda i=i, like=like: self.draw_other(i, [like], 1, words[i])[0],
                    lambda i=i, like=like: self.draw_same(i, like, 1, words[i])[0],
                    lambda near=near: near,
                ][labels[i]]()
                rows.append((draw(words[i], ORDER), i, second, labels[i]))
        return sorted(rows)

    def place(self, items):
        """[(anchor, word, answer, wrong)] → [(anchor, word, options, label)], positions even."""
        ranked = sorted(items, key=lambda item: draw(item[1], PLACE))
        placed = {}
        for rank, (anchor, word, answer, wrong) in enumerate(ranked):
            order = sorted(range(len(wrong)), key=lambda j: draw(word, SHUFFLE + j))
            options = [wrong[j] for j in order]
            label = (rank + draw(ranked[0][1], PLACE)) % (len(wrong) + 1)
            options.insert(label, answer)
            placed[anchor] = (anchor, word, options, label)
        return [placed[item[0]] for item in items]

    def selection(self, anchors, n, name):
        items, from_same = [], same_document_options(n)
        for i in anchors:
            word = self.word(i, name)
            answer = self.adjacent(i, word)
            from_other = n - 1 - from_same
            if answer is None or len(self.distant(i)) < from_same:
                continue
            if self.elsewhere(i)[0] < from_other:
                continue
            wrong = self.draw_same(i, answer, from_same, word)
            wrong += self.draw_other(i, [answer, *wrong], from_other, word)
            items.append((i, word, answer, wrong))
        return self.place(items)

    def multiple_choice(self):
        rows = self.selection(self.anchors, 6, "multiple_choice")
        return sorted((draw(word, ORDER), i, options, label) for i, word, options, label in rows)

    def sentiment(self):
        thresholds = self.options.thresholds
        classes = defaultdict(list)
        for i in self.anchors:
            row = list(self.probabilities[i])
            label = row.index(max(row))
            if row[label] >= thresholds[label]:
                classes[label].append((self.word(i, "sentiment"), i))
        smallest = min(range(5), key=lambda label: len(classes[label]))
        lengths = sorted(len(self.pool[i].text) for _, i in classes[smallest])
        bins = min(max(len(lengths) // MATCHED, 1), MOST_BINS)
        edges = [lengths[b * len(lengths) // bins] for b in range(1, bins)]
        cells = defaultdict(list)
        for label in range(5):
            for word, i in sorted(classes[label]):
                cells[sum(edge <= len(self.pool[i].text) for edge in edges), label].append(
                    (word, i)
                )
        rows = []
        for b in range(bins):
            level = min(len(cells[b, label]) for label in range(5))
            for label in range(5):
                rows += [(draw(word, ORDER), i, label) for word, i in cells[b, label][:level]]
        return sorted(rows)

    def unified(self):
        """[(order key, anchor, second or None, options, label)]; word options are strings."""
        mixture = self.options.mixture
        words = {i: self.word(i, "unified") for i in self.anchors}
        pairs = {row[1]: row for row in self.sentence_pair()} if mixture.pair else {}
        most = {}
        for i in self.anchors if mixture.choice else []:
            if self.adjacent(i, words[i]) is not None:
                same, other = len(self.distant(i)), self.elsewhere(i)[0]
                fits = [
                    n for n in range(2, 17)
                    if same >= same_document_options(n) <= n - 1 <= other + same_document_options(n)
                ]  # fmt: skip
                if fits:
                    most[i] = max(fits)
        sentiments = self.sentiment()
        either = len(most.keys() | pairs.keys())
        n_choices, n_pairs, n_sentiments = self.amounts(
            len(most), len(pairs), either, len(sentiments)
        )
        turn = sorted(most, key=lambda i: (i in pairs, draw(words[i], TASK)))
        left = sorted(turn[:n_choices], key=lambda i: draw(words[i], NUMBER))
        rows = []
        for n in range(16, 1, -1):
            able = [i for i in left if most[i] >= n][: len(left) // (n - 1)]
            left = [i for i in left if i not in set(able)]
            for i, word, options, label in self.selection(sorted(able), n, "unified"):
                rows.append((draw(word, ORDER), i, None, options, label))
        paired = {i: row[3] for i, row in pairs.items() if i not in turn[:n_choices]}
        mixed = {i: label for _, i, label in sentiments}
        for kind, labels, amount, label_words in (
            ("pair", paired, n_pairs, PAIR_WORDS),
            ("sentiment", mixed, n_sentiments // 5 * 5, SENTIMENT_WORDS),
        ):
            draws = {i: draw(self.word(i, f"unified/{kind}"), MIX) for i in labels}
            chosen = evenly(labels, amount, draws)
            items = [self.worded(i, f"unified/{kind}", labels[i], label_words) for i in chosen]
            for i, word, options, label in self.place(items):
                second = pairs[i][2] if kind == "pair" else None
                rows.append((draw(word, ORDER), i, second, options, label))
        return sorted(rows, key=lambda row: row[0])

    def amounts(self, choices, pairs, either, sentiments):
        """How many rows of each kind."""
        mixture = self.options.mixture
        c, p, s = mixture.choice, mixture.pair, mixture.sentiment
        limits = [(choices, c), (pairs, p), (sentiments, s), (either, c + p)]
        total = min(have / share for have, share in limits if share)
        anchors = int(max(total * (c + p), either * (1 - THINNED)))
        chosen = min(choices, max(round(anchors * c / (c + p)), anchors - pairs))
        paired = min(pairs, anchors - chosen)
        return chosen, paired, min(sentiments, round((chosen + paired) * s / (1 - s)))

    def worded(self, i, name, label, words):
        wrong = [words[(label + 1 + j) % len(words)] for j in range(len(words) - 1)]
        return (i, self.word(i, name), words[label], wrong)

    def text(self, i, cap):
        text = whole(self.pool[i].text)
        return whole(clause(text, cap)) if len(text) > cap else text

    def rows(self, name):
        """The rows of a format as the corpus should hold them."""
        options = self.options
        text_cap, option_cap = options.max_text_chars, options.max_option_chars
        out = []
        for row in getattr(self, name)():
            i, label = row[1], row[-1]
            sentence = self.pool[i]
            second, choices = None, []
            if name in ("sentence_pair", "unified"):
                second = row[2]
            if name in ("multiple_choice", "unified"):
                choices = row[-2]
            worded = bool(choices) and isinstance(choices[0], str)
            caps = (text_cap, option_cap)
            kind = {"sentence_pair": "pair", "multiple_choice": "choice"}.get(name, name)
            suffix = ""
            if name == "unified":
                if not worded:
                    caps = option_caps(len(choices), options)
                kind = "pair" if second is not None else "sentiment" if worded else "choice"
                suffix = f"-{kind}"
            full = [whole(self.pool[c].text) for c in choices if not worded]
            short = [whole(clause(text, caps[1])) if len(text) > caps[1] else text for text in full]
            if short != full:
                short = [text.rstrip(ENDS) for text in short]
            out.append(
                {
                    "id": f"{sentence.document.key.hex()[:16]}-{sentence.position}{suffix}",
                    "document_id": sentence.document.id,
                    "kind": kind,
                    "text_a": self.text(i, caps[0]),
                    "text_b": None if second is None else self.text(second, caps[0]),
                    "options": choices if worded else short,
                    "label": label,
                }
            )
        return out
