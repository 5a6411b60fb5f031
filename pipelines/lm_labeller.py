"""The `lm:` labeller: a frozen language model, behind Beam's RunInference.

How it labels is in `ppt.lm_sentiment`. Importing this module imports torch; only a
pipeline that asks for such a labeller does so.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.pool_handler import Pool, PoolHandler, Probabilities
from ppt.lm_sentiment import LMLabeller


class SentencePoolReader(PoolHandler):
    """The handler of a language model: pools in, calibrated probabilities [N, 5] out."""

    def load_model(self) -> LMLabeller:
        """Load the backbone; it takes the GPU if there is one."""
        return LMLabeller.load(self._name)

    def probabilities(
        self, pool: Pool, model: LMLabeller, args: Mapping[str, Any]
    ) -> Probabilities:
        """Class probabilities [N, 5], from batches of sentences of like length."""
        assert not args, "a backbone's forward pass takes no further arguments"
        return model.probabilities(pool)
