"""Deep prompts: keys and values of every layer in the place of P embeddings (Li and Liang 2021).

They are kept as PEFT's PREFIX_TUNING has them, a vector [D] for each of P positions: of each
layer the keys of all heads, then the values, D = layers * 2 * heads * size. Keys are as the
model caches them, turned by their position already, so that texts simply go on behind them.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class DeepShape:
    """What a model keeps of a position: `heads` (of keys and values) of `size`, in all `layers`."""

    layers: int
    heads: int
    size: int

    @property
    def width(self) -> int:
        """D, the numbers of a position."""
        return self.layers * 2 * self.heads * self.size

    @property
    def fields(self) -> dict[str, int]:
        """The same in the words of PEFT's config."""
        return {
            "num_layers": self.layers,
            "num_attention_heads": self.heads,
            "token_dim": self.heads * self.size,
        }

    def pairs(self, values: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys and values [K, heads, P, size] of each layer, of `values` [K, P, D]."""
        parts = values.view(*values.shape[:-1], self.layers, 2, self.heads, self.size)
        return [(one[0], one[1]) for one in parts.permute(2, 3, 0, 4, 1, 5)]

    def joined(self, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The way back: [K, P, D]."""
        parts = torch.stack([torch.stack(pair) for pair in pairs])
        return parts.permute(2, 4, 0, 1, 3, 5).flatten(2)

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


@dataclass(frozen=True)
class DeepBank:
    """K deep prompts [K, P, D]; `seen` [R, P] says which positions each row of a batch may read.

    Without it, rows read them all.
    """

    values: Tensor
    seen: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> torch.Size:
        """[K, P, D], as of a bank of embeddings [K, P, H]."""
        return self.values.shape
