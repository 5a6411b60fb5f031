"""The corpus formats in plain Python, one object per example: the oracle of the fast ones.

It shares with the product only the published numbers and the definition of the
random streams; every choice is made naively, over lists, one anchor at a time.
"""

from collections import Counter, defaultdict

from ppt.base.streams import seed_bits
from ppt.base.text import content_key, cut
from ppt.corpus.options import option_caps, same_document_options

MASK = (1 << 64) - 1
DIRECTION, NUMBER, TASK, ORDER, PLACE, MIX, SAME, OTHER, SHUFFLE = 0, 1, 2, 3, 4, 5, 64, 128, 192
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
            else:
                word = mix(root ^ mix(position))
                sentences.append(Sentence(document, number, position, text, word))
    return sentences, drops


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

    def draw_same(self, i, k, word):
        left = self.distant(i)
        return [left.pop(pick(word, SAME + j, len(left))) for j in range(k)]

    def draw_other(self, i, k, word):
        total, nth = self.elsewhere(i)
        taken = []
        for j in range(k):
            n = pick(word, OTHER + j, total - j)
            for earlier in sorted(taken):
                n += n >= earlier
            taken.append(n)
        return [nth(n) for n in taken]

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
        for i in self.anchors:
            if i in labels:
                second = [
                    lambda i=i: self.draw_other(i, 1, words[i])[0],
                    lambda i=i: self.draw_same(i, 1, words[i])[0],
                    lambda i=i: self.adjacent(i, words[i]),
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
            wrong = self.draw_same(i, from_same, word) + self.draw_other(i, from_other, word)
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
        smallest = min(len(classes[label]) for label in range(5))
        rows = [
            (draw(word, ORDER), i, label)
            for label in range(5)
            for word, i in sorted(classes[label])[:smallest]
        ]
        return sorted(rows)

    def unified(self):
        """[(order key, anchor, second or None, options, label)]; word options are strings."""
        mixture = self.options.mixture
        share = mixture.choice / (mixture.choice + mixture.pair)
        selects, numbered = {}, defaultdict(list)
        for i in self.anchors:
            word = self.word(i, "unified")
            selects[i] = (draw(word, TASK) >> 11) / 2**53 < share
            if selects[i]:
                numbered[2 + pick(word, NUMBER, 15)].append(i)
        rows = []
        for n in range(2, 17):
            for i, word, options, label in self.selection(numbered[n], n, "unified"):
                rows.append((draw(word, ORDER), i, None, options, label))
        pairs = [row for row in self.sentence_pair() if not selects[row[1]]]
        seconds = {i: second for _, i, second, _ in pairs}
        items = [self.worded(i, "unified/pair", label, PAIR_WORDS) for _, i, _, label in pairs]
        for i, word, options, label in self.place(items):
            rows.append((draw(word, ORDER), i, seconds[i], options, label))
        sentiments = self.sentiment()
        per_class = round(len(rows) * mixture.sentiment / (1 - mixture.sentiment)) // 5
        mixed = defaultdict(list)
        for _, i, label in sentiments:
            mixed[label].append((draw(self.word(i, "unified/sentiment"), MIX), i))
        chosen = {(i, label) for label in range(5) for _, i in sorted(mixed[label])[:per_class]}
        items = [
            self.worded(i, "unified/sentiment", label, SENTIMENT_WORDS)
            for _, i, label in sentiments
            if (i, label) in chosen
        ]
        for i, word, options, label in self.place(items):
            rows.append((draw(word, ORDER), i, None, options, label))
        return sorted(rows, key=lambda row: row[0])

    def worded(self, i, name, label, words):
        wrong = [words[(label + 1 + j) % len(words)] for j in range(len(words) - 1)]
        return (i, self.word(i, name), words[label], wrong)

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
            out.append(
                {
                    "id": f"{sentence.document.key.hex()[:16]}-{sentence.position}{suffix}",
                    "document_id": sentence.document.id,
                    "kind": kind,
                    "text_a": cut(sentence.text, caps[0]),
                    "text_b": None if second is None else cut(self.pool[second].text, caps[0]),
                    "options": [c if worded else cut(self.pool[c].text, caps[1]) for c in choices],
                    "label": label,
                }
            )
        return out
