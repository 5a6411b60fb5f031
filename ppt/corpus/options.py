"""How examples are built: the options of the formats and their published constants."""

from dataclasses import dataclass, field, fields

import numpy as np

from ppt.base.arrays import Indices
from ppt.base.text import SHORTEST_CUT
from ppt.corpus.sentiment import PUBLISHED_THRESHOLDS
from ppt.errors import ConfigError, require_known, unknown_name

UNIFIED_OPTIONS = range(2, 17)
"""Numbers of options of the unified format (published: uniform in 2...16)."""

ADJACENCIES = ("both", "next", "previous")
LEAST_SHARE = 1e-6
"""Of choices and pairs together, which sentiment is mixed into; as near must the sum be to 1."""

SEEDS = 1 << 127
"""A seed is hashed as 16 bytes with a sign."""


MOST_WEIGHT = 10.0
"""From far less on a sentence says nothing of its own label."""


@dataclass(frozen=True)
class Mixture:
    """Shares of the unified corpus; they sum to 1."""

    choice: float = 0.6
    pair: float = 0.2
    sentiment: float = 0.2

    def __post_init__(self) -> None:
        shares = (self.choice, self.pair, self.sentiment)
        told = ",".join(f"{name}={share}" for name, share in vars(self).items())
        if not (min(shares) >= 0 and abs(sum(shares) - 1) <= LEAST_SHARE):  # NaN is neither
            raise ConfigError(f"--unified_mixture: got {told}, shares must be >= 0 and sum to 1")
        if self.choice + self.pair < LEAST_SHARE:
            raise ConfigError(f"--unified_mixture: got {told}, sentiment alone has its own format")

    @classmethod
    def parse(cls, text: str) -> "Mixture":
        """Read ``published`` (selection only) or ``choice=0.6,pair=0.2,sentiment=0.2``."""
        if text == "published":
            return cls(1.0, 0.0, 0.0)
        kinds, shares = [one.name for one in fields(cls)], dict[str, float]()
        for part in text.split(","):
            name, number = (one.strip() for one in part.partition("=")[::2])
            if name not in kinds:
                raise unknown_name("part of --unified_mixture", name, [*kinds, "published"])
            try:
                if name in shares:
                    raise ValueError
                shares[name] = float(number)
            except ValueError:
                raise ConfigError(
                    f"--unified_mixture: got {part!r}, expected NAME=SHARE such as choice=0.6, once"
                ) from None
        return cls(**{**dict.fromkeys(kinds, 0.0), **shares})


@dataclass(frozen=True)
class FormatOptions:
    """How examples are built; everything that their bytes depend on but the documents."""

    seed: int = 1
    adjacency: str = "both"
    max_examples_per_document: int = 0
    max_text_chars: int = 400
    max_option_chars: int = 200
    mixture: Mixture = field(default_factory=Mixture)
    thresholds: tuple[float, ...] = PUBLISHED_THRESHOLDS
    document_weight: float = 0.0
    shares: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require_known("--adjacency", self.adjacency, ADJACENCIES)
        if not -SEEDS <= self.seed < SEEDS:
            raise ConfigError(f"--seed: got {self.seed}, expected -2^127 to 2^127 - 1")
        if not 0 <= self.document_weight <= MOST_WEIGHT:  # NaN is neither
            raise ConfigError(
                f"--document_weight: got {self.document_weight}, expected 0 to {MOST_WEIGHT}"
            )
        if self.max_examples_per_document < 0:
            raise ConfigError(
                f"--max_examples_per_document: got {self.max_examples_per_document}, "
                "expected 0 (no limit) or more"
            )
        for name in ("max_text_chars", "max_option_chars"):
            if getattr(self, name) < SHORTEST_CUT:
                raise ConfigError(
                    f"--{name}: got {getattr(self, name)}, expected {SHORTEST_CUT} or more: "
                    "shorter cuts could make two options equal"
                )


def option_caps(n_options: int, options: FormatOptions) -> tuple[int, int]:
    """Characters that a query and an option may have among `n_options` of them.

    Published for the unified format in tokens: query 400 down to 150, options
    50 down to 20 as n grows; taken at four to five characters a token.
    """
    steps = ((4, 400, 200), (8, 400, 150), (12, 300, 120), (16, 200, SHORTEST_CUT))
    query, option = next((q, o) for n, q, o in steps if n_options <= n)
    return min(query, options.max_text_chars), min(option, options.max_option_chars)


def same_document_options(n_options: int) -> int:
    """How many wrong options come from the anchor's document (published: 1, 2 or 3)."""
    return 1 if n_options <= 6 else 2 if n_options <= 10 else 3


def most_options(n_same: Indices, n_other: Indices) -> Indices:
    """[A] how many options an anchor can have by the sentences that its document has beside it,
    [A], and other documents, [A]; 1 if none.
    """
    most = np.ones(len(n_same), np.int64)
    for n in UNIFIED_OPTIONS:
        same = same_document_options(n)
        most[(n_same >= same) & (n_other >= n - 1 - same)] = n
    return most
