"""Language modelling and span corruption of raw documents, as objectives of the one loop.

An example is a token that must be said: losses are means over these, accuracy the share of
those that no other token is likelier than, chance one of V.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ppt.backbones.base import Backbone
from ppt.backbones.checks import origin
from ppt.base.arrays import Indices
from ppt.base.streams import seed_bits
from ppt.errors import ConfigError
from ppt.prompts.encoder import Encoder, sentinel_ids
from ppt.prompts.spans import Pair, Tokens, continued, corrupted, gap_count, next_tokens
from ppt.prompts.tensors import Batch, LabelWords
from ppt.training.adaptation import SPANS, AdaptConfig
from ppt.training.evaluation import Evaluation
from ppt.training.folder import require_apart
from ppt.training.objective import Material, OneRun, Watch
from ppt.training.processes import Processes, Session
from ppt.training.settings import PretrainConfig, TrainSettings
from ppt.training.shared import LM
from ppt.training.trainables import Trainable
from ppt.training.windows import HELD_OUT, TOKENS, TRAIN, Reading, Windows, windows_in

Cut = Callable[[Tokens, int], Pair]
"""A window and 64 random bits → what is read of it and what is said."""


def cut_for(backbone: Backbone, objective: str, length: int) -> Cut:
    """How windows of `length` tokens are cut; raises ConfigError where a backbone cannot do it."""
    encoder, size = Encoder.of(backbone.tokenizer), backbone.vocab_size
    sentinels = [one for one in sentinel_ids(backbone.tokenizer) if one < size]
    if objective == SPANS and backbone.kind == "causal":
        raise ConfigError(
            f"--objective {objective} is for encoder-decoders (T5), and {backbone.name} is none:"
            f" take --objective {LM}."
        )
    if objective == SPANS and gap_count(length) >= len(sentinels):
        raise ConfigError(
            f"--max_length {length} makes {gap_count(length)} gaps, one sentinel each and one more,"
            f" but the tokenizer of {backbone.name} has {len(sentinels)} that the model knows:"
            " lower --max_length."
        )
    if any(one >= size for one in encoder.document_end):
        raise ConfigError(
            f"documents end with {backbone.tokenizer.convert_ids_to_tokens(encoder.document_end)},"
            f" but {backbone.name} has no embedding for it, only {size}: take the tokenizer that it"
            " was trained with, or save the model with as many (resize_token_embeddings)."
        )
    if backbone.kind == "causal":
        return lambda window, _: next_tokens(window)

    def cut(window: Tokens, bits: int) -> Pair:
        if objective == SPANS:
            text, target = corrupted(window, bits, sentinels)
            target = np.append(target, encoder.end).astype(np.int32)
        else:
            text, target = continued(window, bits)
        return np.concatenate([encoder.start, text, encoder.end]).astype(np.int32), target

    return cut


def batch_of(pairs: Sequence[Pair], pad_id: int) -> Batch:
    """What is read and what is said [B, 1, W], as a batch whose rows have one word each."""
    texts, targets = ([torch.from_numpy(one.astype(np.int64)) for one in side]
                      for side in zip(*pairs, strict=True))  # fmt: skip
    ids = pad_sequence(texts, batch_first=True, padding_value=pad_id)
    words = pad_sequence(targets, batch_first=True, padding_value=pad_id)
    real = torch.arange(ids.shape[1]) < torch.tensor([len(text) for text in texts])[:, None]
    lengths = torch.tensor([[len(target)] for target in targets])
    return Batch(
        ids, real.long(), torch.zeros(len(ids), dtype=torch.long),
        LabelWords(words[:, None], lengths), torch.ones(len(ids), 1, dtype=torch.bool),
    )  # fmt: skip


class LanguageWindows(OneRun):
    """Windows of raw documents: what is predicted are their tokens, cut anew in each epoch.

    How a window is cut comes from (seed, epoch, its number) alone; those that are held out
    are always cut alike, so that losses of several runs compare.
    """

    def __init__(
        self,
        trainable: Trainable,
        windows: Windows,
        objective: str,
        settings: TrainSettings,
        processes: Processes,
    ) -> None:
        train, self._held_out = windows.train, windows.held_out
        super().__init__(trainable, np.full(len(train), train.shape[1]), settings, processes)
        self._train, self._pairs, self.scored = train, dict[int, Pair](), len(self._held_out)
        self._cut = cut_for(trainable.backbone, objective, train.shape[1])

    def begin(self, rows: Indices, epoch: int) -> int:
        """Cut the windows of a batch; how many tokens must be said."""
        seed = self.settings.seed
        self._pairs = {
            row: self._pair(self._train, row, str(epoch), seed=seed) for row in rows.tolist()
        }
        return sum(len(target) for _, target in self._pairs.values())

    def forward_backward(self, which: Sequence[int], rows: Indices, weight: int) -> Tensor:
        """Minus the log-probability of what must be said."""
        loss, right = self._score(which, [self._pairs[row] for row in rows.tolist()], rows[None])
        (loss / weight).backward()  # type: ignore[no-untyped-call]
        return torch.stack([loss.detach(), right]).cpu().double()

    @torch.no_grad()
    def evaluate(self, which: Sequence[int], step: int, watch: Watch) -> list[Evaluation] | None:
        """Loss and accuracy over the tokens of the windows that are held out."""
        pairs = [self._pair(self._held_out, row) for row in range(len(self._held_out))]
        said = np.array([len(target) for _, target in pairs])

        def found(rows: Indices) -> Tensor:
            scored = self._score(which, [pairs[row] for row in rows.tolist()])
            return torch.stack(scored).cpu().double()

        sums = self.summed(said, found, 2, watch)
        if sums is None:
            return None
        loss, right = sums
        count, chance = int(said.sum()), 1 / self.trainable.backbone.vocab_size
        return [Evaluation(step, loss / count, right / count, chance, count, {})]

    def _score(
        self, which: Sequence[int], pairs: Sequence[Pair], rows: Indices | None = None
    ) -> tuple[Tensor, Tensor]:
        """The sum of losses, and of right tokens, of some windows."""
        backbone = self.trainable.backbone
        batch = batch_of(pairs, backbone.pad_id).to(backbone.device)
        found, right = backbone.token_scores(self.trainable.bank(which, rows), batch)
        return -found.sum(), right.sum().to(found.dtype)

    def _pair(self, windows: Tokens, row: int, *when: str, seed: int = 0) -> Pair:
        bits = seed_bits(seed, "windows", *when, str(row))
        return self._cut(np.asarray(windows[row]), bits)


def language_run(
    trainable: Trainable,
    reading: Reading,
    objective: str,
    config: PretrainConfig | AdaptConfig,
    folder: Path | None,
    session: Session,
    *,
    most: int | None = None,
    begin: Callable[[Path], None],
) -> Material:
    """Raw documents as what is trained on, `most` windows or as many as the steps take.

    `begin` is called when they are read (`windows_in`).
    """
    backbone, length, processes = trainable.backbone, config.max_length, session.processes
    encoder = Encoder.of(backbone.tokenizer)
    cut_for(backbone, objective, length)
    needed = most or config.max_steps * config.local_batch_size * processes.world
    limits = {TRAIN: needed, HELD_OUT: config.max_eval_examples or sys.maxsize}
    if folder and not (session.goes_on and (folder / TOKENS).is_dir()):
        require_apart(folder, "--corpus or --eval_corpus", reading.paths)
    if processes.first or folder is None:
        windows = windows_in(
            folder, reading, encoder, length, limits, begin=begin, goes_on=session.goes_on,
            progress=session.progress == "bar",
        )  # fmt: skip
    processes.wait()
    if not processes.first and folder:
        windows = Windows.of(folder / TOKENS, length)
    made = LanguageWindows(trainable, windows, objective, config, processes)
    facts = windows.told()
    told = f"{facts['windows']}; documents: {facts['documents']}"
    identity = {"tokens": windows.facts["sha256"], "model": origin(backbone)}
    return Material(made, facts, identity, told)
