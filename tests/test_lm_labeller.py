"""The `lm:` labeller against a plain loop over transformers' own forward; tiny random models."""

import numpy as np
import pytest
import torch
import transformers

from pipelines.labelling import check_labeller, find_labeller
from pipelines.model_labellers import SentencePoolReader, one_thread
from ppt.backbones.labeller import LMLabeller
from ppt.corpus.sentiment import LABELS, LM_THRESHOLDS, PUBLISHED_THRESHOLDS
from ppt.errors import ConfigError, PPTError
from tests.builds import DOCUMENTS, build, digests, good_documents, manifest, write_jsonl
from tests.test_labelling import run_labeller
from tests.tiny import save_tiny, tiny_llama

SENTENCES = ["It was great.", "", "a", "None of it was any good, none.", "Hm.", "So so", "</s>"]
FREE = ["N/A", "[MASK]", ""]
PLACES = {"max_position_embeddings": 256}
FAMILIES = {"llama": PLACES, "gpt2": {"n_positions": 256}, "t5": {}}


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    """A tiny random model in a folder."""
    folder = tmp_path_factory.mktemp("models") / request.param
    return save_tiny(folder, request.param, **FAMILIES[request.param])


def log_probability(model, tokenizer, sentence, word):
    """Of a whole word after a sentence in its pattern, token by token, by the model itself."""
    ids = tokenizer(word, add_special_tokens=False).input_ids

    def encode(text):
        return tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids

    with torch.no_grad():
        if model.config.is_encoder_decoder:
            mask = tokenizer.convert_tokens_to_ids("<extra_id_0>")
            read = [*encode(f"Review: {sentence} In one word, it was"), mask, *encode(".")]
            start = [model.config.decoder_start_token_id, mask]
            logits = model(
                input_ids=torch.tensor([read]), decoder_input_ids=torch.tensor([start + ids[:-1]])
            ).logits[0, 1:]
        else:
            text = encode(f"Review: {sentence}\nIn one word, it was")
            logits = model(torch.tensor([text + ids])).logits[0, len(text) - 1 : -1]
    return float(logits.log_softmax(-1)[torch.arange(len(ids)), ids].sum())


def reference(folder, sentences):
    """Calibrated probabilities [N, 5], a sentence and a word at a time."""
    config = transformers.AutoConfig.from_pretrained(folder)
    auto = "AutoModelForSeq2SeqLM" if config.is_encoder_decoder else "AutoModelForCausalLM"
    model = getattr(transformers, auto).from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def distribution(text):
        found = [log_probability(model, tokenizer, text, f" {word}") for word in LABELS]
        weights = np.exp(np.array(found) - max(found))
        return weights / weights.sum()

    prior = np.mean([distribution(text) for text in FREE], axis=0)
    rows = np.array([distribution(text) for text in sentences]) / prior
    return rows / rows.sum(1, keepdims=True)


def test_labels_are_those_of_a_plain_loop(model):
    found = LMLabeller.load(str(model)).probabilities(SENTENCES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(model, SENTENCES), rtol=2e-3, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 0.05, "the model tells no sentences apart"


def test_pools_go_through_run_inference(model):
    pools = [("one", SENTENCES), ("two", SENTENCES[::-1] * 4), ("none", [])]
    found = run_labeller(f"lm:{model}", pools)
    alone = LMLabeller.load(str(model))
    assert found["none"].shape == (0, 5)
    with one_thread():
        for key, sentences in pools[:2]:
            assert np.array_equal(found[key], alone.probabilities(sentences))
    np.testing.assert_allclose(found["two"][:7][::-1], found["one"], rtol=1e-3)


def test_content_free_sentences_average_to_uniform(model):
    labeller = LMLabeller.load(str(model))
    raw = labeller.scores(FREE).softmax(-1)
    assert raw.mean(0).max() > 0.21, "the model has no preference that could be taken off"
    free = (raw / labeller.prior.exp()).mean(0)
    torch.testing.assert_close(free, torch.ones(5), rtol=1e-4, atol=1e-4)


def test_long_sentences_are_cut_to_the_room_there_is(tmp_path):
    short = save_tiny(tmp_path / "short", "gpt2")  # 64 positions: the pattern takes 29, a word 9
    labeller = LMLabeller.load(str(short))
    assert labeller.renderer.max_length == 64 - 8
    one, other = labeller.probabilities(["good " * 200, "good " * 300])
    assert np.array_equal(one, other)


def test_labels_are_computed_on_one_thread(tmp_path, monkeypatch):
    handler = SentencePoolReader(str(save_tiny(tmp_path / "m", **PLACES)))
    model, seen = handler.load_model(), []
    monkeypatch.setattr(
        LMLabeller, "probabilities", lambda *_: seen.append(torch.get_num_threads())
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        handler.run_inference([SENTENCES], model)
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_one_process_or_two_give_the_same_bytes(tmp_path):
    name = f"lm:{save_tiny(tmp_path / 'm', **PLACES)}"
    files = [DOCUMENTS / f"{kind}.jsonl" for kind in ("praise", "complaints", "opinions")]
    for workers in (1, 2):
        build(
            "--input", *files, "--output", tmp_path / f"c{workers}", "--num_shards", 2,
            "--formats", "sentiment,unified", "--labeller", name, "--workers", workers,
        )  # fmt: skip
    assert digests(tmp_path / "c1") == digests(tmp_path / "c2")
    found = manifest(tmp_path / "c1", "sentiment")
    assert found["config"]["thresholds"] == list(LM_THRESHOLDS)
    assert {"torch", "transformers"} <= found["versions"].keys()
    assert found["examples"]["rows"] > 0


def test_only_anchors_are_labelled(tmp_path, monkeypatch):
    name = f"lm:{save_tiny(tmp_path / 'm', **PLACES)}"
    counts = []
    own = LMLabeller.probabilities

    def count(self, sentences):
        counts.append(len(sentences))
        return own(self, sentences)

    monkeypatch.setattr(LMLabeller, "probabilities", count)
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(8))
    build(
        "--input", source, "--output", tmp_path / "c", "--labeller", name,
        "--formats", "sentiment,sentence_pair",  # a random model's labels make no row by themselves
        "--max_examples_per_document", 2, "--validation_fraction", 0,
    )  # fmt: skip
    assert counts == [1, 16]  # the first one is the check


def test_thresholds_depend_on_the_labeller():
    defaults = {name: find_labeller(name)[0].thresholds for name in ("vader", "model:x", "lm:x")}
    assert defaults["vader"] == defaults["model:x"] == PUBLISHED_THRESHOLDS
    assert defaults["lm:x"] == LM_THRESHOLDS


@pytest.mark.parametrize("kind", ["nothing there", "no weights", "bert"])
def test_what_cannot_serve_is_refused_before_any_work(kind, tmp_path, capsys):
    folder = tmp_path / "m"
    if kind == "no weights":
        save_tiny(folder)
        (folder / "model.safetensors").unlink()
    elif kind == "bert":
        save_tiny(folder, "bert")
    with pytest.raises(PPTError):
        check_labeller(f"lm:{folder}")
    source = write_jsonl(tmp_path / "in.jsonl", good_documents(3))
    capsys.readouterr()
    build("--input", source, "--output", tmp_path / "c", "--labeller", f"lm:{folder}", expect=2)
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "c").exists()


def test_an_embedded_name_is_found_by_its_nearest():
    with pytest.raises(LookupError, match="Did you mean 'smollm2-135m'"):
        check_labeller("lm:smollm-135m")


def test_weights_that_give_no_numbers_are_refused():
    backbone = tiny_llama(**PLACES)
    labeller = LMLabeller.of(backbone)
    with torch.no_grad():
        backbone.model.lm_head.weight.fill_(torch.nan)
    with pytest.raises(ConfigError, match="not finite numbers"):
        labeller.probabilities(["Some text."])
