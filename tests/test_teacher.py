"""The `tuned:` labeller: prompts and adapters label as they score; tiny random models."""

import json

import numpy as np
import pytest
import torch

from pipelines.labelling import check_labeller, find_labeller
from ppt.backbones.labeller import CLASS_WIDTH
from ppt.backbones.loading import load_backbone
from ppt.corpus.sentiment import LABELS, LM_THRESHOLDS
from ppt.errors import PPTError
from ppt.prompts.batches import collate, pack
from ppt.prompts.files import load_prompt, save_prompt
from ppt.prompts.patterns import Verbalizer, standard_pattern
from ppt.prompts.rendering import Renderer
from ppt.training.trainables import lora
from ppt.transfer.teacher import TunedLabeller
from tests.builds import build, good_documents, manifest, write_jsonl
from tests.few import toy_adapter
from tests.test_labelling import run_labeller
from tests.tiny import save_tiny

SENTENCES = ["It was great.", "", "a", "None of it was any good, none at all.", "Hm."]
PLACES = {"max_position_embeddings": 256}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A tiny model, and what was tuned for it."""
    folder = tmp_path_factory.mktemp("teacher")
    model = save_tiny(folder / "m", **PLACES)
    for name, words, style in (
        ("five", LABELS, "soft"), ("two", ("bad", "good"), "hybrid"),
        ("letters", ("A", "B"), "soft"), ("old", LABELS, "hybrid"),
    ):  # fmt: skip
        card = {"backbone": str(model), "format": "sentiment", "style": style,
                "label_words": list(words), "patterns_version": 3 - (name == "old")}  # fmt: skip
        values = torch.randn(4, 32, generator=torch.Generator().manual_seed(1))
        save_prompt(folder / name, values, kind="causal", model=str(model), card=card)
    toy_adapter(folder / "lora", model)
    card = json.loads((folder / "lora/prompt.json").read_text())
    (folder / "lora/prompt.json").write_text(json.dumps({**card, "label_words": LABELS}))
    return folder


def expected(place, name, words, style):
    """Scores [N, L] of the sentences, one at a time, by the backbone."""
    backbone = load_backbone(str(place / "m"), device="cpu", dtype="float32")
    pattern = standard_pattern("sentiment", "suffix", style)
    renderer = Renderer(pattern, Verbalizer({w: w for w in words}), backbone.tokenizer, 128)
    rows = pack(renderer.rows({"text_a": text, "label": 0} for text in SENTENCES))

    def score(prompt):
        found = [
            backbone.score(prompt, collate(rows, np.array([i]), renderer.words()))
            for i in range(len(rows))
        ]
        return torch.cat(found).detach()

    if name == "lora":
        with lora(backbone, 0, place / name):
            return score(None)
    return score(load_prompt(place / name).values())


@pytest.mark.parametrize(("name", "style"), [("five", "soft"), ("lora", "hard")])
@pytest.mark.usefixtures("precise")
def test_five_words_give_their_probabilities(place, name, style):
    found = TunedLabeller.load(str(place / name)).probabilities(SENTENCES)
    scores = expected(place, name, LABELS, style)
    np.testing.assert_allclose(found, scores.softmax(-1).numpy(), rtol=1e-3, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 1e-3


@pytest.mark.usefixtures("precise")
def test_two_words_place_a_sentence_among_the_five_classes(place):
    found = TunedLabeller.load(str(place / "two")).probabilities(SENTENCES)
    scores = expected(place, "two", ("bad", "good"), "hybrid")
    position = (2 + (scores[:, 1] - scores[:, 0]).numpy() / CLASS_WIDTH).clip(0, 4)
    np.testing.assert_allclose(found @ np.arange(5), position, rtol=1e-3, atol=1e-4)
    assert ((found > 0).sum(1) <= 2).all()


def test_pools_go_through_run_inference(place):
    name = f"tuned:{place / 'five'}"
    found = run_labeller(name, [("one", SENTENCES), ("none", [])])
    assert found["none"].shape == (0, 5)
    alone = TunedLabeller.load(str(place / "five")).probabilities(SENTENCES)
    np.testing.assert_allclose(found["one"], alone, rtol=1e-3, atol=1e-6)
    assert find_labeller(name).thresholds == LM_THRESHOLDS


def test_a_corpus_is_labelled_by_what_was_tuned(place, tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(12))
    build(
        "--input", source, "--output", tmp_path / "c", "--labeller", f"tuned:{place / 'five'}",
        "--formats", "sentiment,sentence_pair", "--sentiment_thresholds", "0,0,0,0,0",
        "--validation_fraction", 0,
    )  # fmt: skip
    found = manifest(tmp_path / "c", "sentiment")
    assert found["config"]["labeller"] == f"tuned:{place / 'five'}"
    assert {"torch", "transformers"} <= found["versions"].keys()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("letters", "expected format sentiment with terrible, bad, maybe, good, great or bad and"),
        ("nowhere", "there is no folder"),
        (".", "give one"),
        ("old", "old was trained beside other hard words than those of today: make it anew"),
    ],
)
def test_what_cannot_label_is_one_line(place, name, message):
    with pytest.raises(PPTError, match=message) as caught:
        check_labeller(f"tuned:{place / name}")
    assert "\n" not in str(caught.value)
