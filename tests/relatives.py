"""Documents that hold each other's text, and plain-Python answers to which belong together."""

import re
from collections import Counter, defaultdict
from itertools import combinations

NOUNS = [f"{one}{other}" for one in ("river", "garden", "engine", "market", "violin", "desert")
         for other in ("side", "keeper", "house", "stone", "light", "song", "wood")]  # fmt: skip
SIGNED = "Yours faithfully, the archive of the harbour office in the old town by the sea."


def sentence(rng, words=12):
    return " ".join(["The", *rng.choices(NOUNS, k=words - 2), f"of {rng.randrange(999)}."])


def report(rng, sentences=12):
    return [sentence(rng) for _ in range(sentences)]


def edition(rng, lines, number):
    """The report with one line changed."""
    lines = list(lines)
    lines[rng.randrange(len(lines))] = f"This line was changed in edition {number}."
    return lines


def families(rng, count=12):
    """Texts by family: editions of reports, replies that quote one whole, strangers; all signed."""
    found = []
    for number in range(count):
        lines = report(rng, rng.choice((12, 20, 60)))
        family = [lines, *(edition(rng, lines, turn) for turn in range(number % 3))]
        if number % 4 == 1:
            family.append([*report(rng, 5), *("> " + line for line in lines), *report(rng, 9)])
        found.append([" ".join(one) + "\n\n" + SIGNED for one in family])
    return found


def words(text):
    return re.findall(r"[^\W_]+", text.lower())


def shingles(text):
    found = words(text)
    return {tuple(found[i : i + 8]) for i in range(max(len(found) - 7, 1))} if found else set()


def containments(texts, common):
    """(one, other) → the part of one's shingles that other has; without what many have."""
    sets = [shingles(text) for text in texts]
    where = defaultdict(list)
    for number, own in enumerate(sets):
        for shingle in own:
            where[shingle].append(number)
    many = {shingle for shingle, numbers in where.items() if len(numbers) > common}
    shared = Counter()
    for shingle, numbers in where.items():
        if shingle not in many:
            for pair in combinations(numbers, 2):
                shared[pair] += 1
                shared[pair[::-1]] += 1
    return {pair: n / len(sets[pair[0]] - many) for pair, n in shared.items()}
