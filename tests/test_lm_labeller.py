"""The `lm:` labeller against a plain loop over transformers' own forward; tiny random models."""

import os
import threading
import time

import numpy as np
import pytest
import torch
import transformers

from pipelines.labelling import check_labeller, find_labeller
from pipelines.model_labellers import PoolHandler, one_thread
from ppt.backbones import loading
from ppt.backbones.labeller import CLASS_WIDTH, OPPOSITES, QUESTIONS, LMLabeller
from ppt.corpus.sentiment import LM_THRESHOLDS, PUBLISHED_THRESHOLDS
from ppt.errors import ConfigError, PPTError
from tests.builds import DOCUMENTS, build, digests, good_documents, manifest, write_jsonl
from tests.test_labelling import run_labeller
from tests.tiny import save_tiny, tiny_llama

SENTENCES = ["It was great.", "", "a", "None of it was any good, none.", "Hm.", "So so", "</s>"]
FREE = ["N/A", "[MASK]", ""]
PLACES = {"max_position_embeddings": 256}
FAMILIES = {
    "llama": PLACES,
    "gpt2": {"n_positions": 256},
    "t5": {"relative_attention_max_distance": 128},  # words are long in letters
}


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    """A tiny random model in a folder."""
    folder = tmp_path_factory.mktemp("models") / request.param
    return save_tiny(folder, request.param, **FAMILIES[request.param])


def log_odds(model, tokenizer, sentence, question, words):
    """Of the second word against the first after a sentence and a question, by the model itself."""

    def encode(text):
        return tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids

    def log_probability(word):
        asked, ids = encode(f" {question}"), encode(f" {word}")
        if model.config.is_encoder_decoder:
            mask = tokenizer.convert_tokens_to_ids("<extra_id_0>")
            read = [*encode(f"Review: {sentence} In one word,"), mask, *encode(".")]
            start = [model.config.decoder_start_token_id, mask]
            logits = model(
                input_ids=torch.tensor([read]),
                decoder_input_ids=torch.tensor([start + asked + ids[:-1]]),
            ).logits[0, -len(ids) :]
        else:
            text = encode(f"Review: {sentence}\nIn one word,")
            logits = model(torch.tensor([text + asked + ids[:-1]])).logits[0, -len(ids) :]
        return float(logits.log_softmax(-1)[torch.arange(len(ids)), ids].sum())

    with torch.no_grad():
        bad, good = map(log_probability, words)
    return good - bad


def reference(folder, sentences):
    """Probabilities [N, 5]: a sentence, a question and a pair of words at a time."""
    config = transformers.AutoConfig.from_pretrained(folder)
    auto = "AutoModelForSeq2SeqLM" if config.is_encoder_decoder else "AutoModelForCausalLM"
    model = getattr(transformers, auto).from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rows = np.zeros((len(sentences), 5))
    for question in QUESTIONS:
        for words in OPPOSITES:
            free = [log_odds(model, tokenizer, text, question, words) for text in FREE]
            good = np.mean([1 / (1 + np.exp(-odds)) for odds in free])
            prior = np.log(good / (1 - good))
            for row, text in zip(rows, sentences, strict=True):
                odds = log_odds(model, tokenizer, text, question, words) - prior
                place = min(max(2 + odds / CLASS_WIDTH, 0), 4)
                low = min(int(place), 3)
                row[low] += (low + 1 - place) / 4
                row[low + 1] += (place - low) / 4
    return rows


@pytest.mark.usefixtures("precise")
def test_labels_are_those_of_a_plain_loop(model):
    found = LMLabeller.load(str(model)).probabilities(SENTENCES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, reference(model, SENTENCES), rtol=2e-3, atol=1e-4)
    assert np.ptp(found, axis=0).max() > 0.02, "the model tells no sentences apart"


def test_sixteen_bits_tell_sentences_apart_as_more_do(model, monkeypatch):
    monkeypatch.setattr(loading, "_has_amx", lambda: False)
    exact = LMLabeller.load(str(model)).odds(SENTENCES)
    monkeypatch.setattr(loading, "_has_amx", lambda: True)
    labeller = LMLabeller.load(str(model))
    assert labeller.backbone.dtype == torch.bfloat16
    both = torch.stack([exact.flatten(), labeller.odds(SENTENCES).float().flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.99


@pytest.mark.usefixtures("precise")
def test_pools_go_through_run_inference(model):
    pools = [("one", SENTENCES), ("two", SENTENCES[::-1] * 4), ("none", [])]
    found = run_labeller(f"lm:{model}", pools)
    alone = LMLabeller.load(str(model))
    assert found["none"].shape == (0, 5)
    with one_thread():
        for key, sentences in pools[:2]:
            assert np.array_equal(found[key], alone.probabilities(sentences))
    np.testing.assert_allclose(found["two"][:7][::-1], found["one"], rtol=1e-3)


def test_content_free_sentences_are_neutral_on_average(model):
    labeller = LMLabeller.load(str(model))
    raw = labeller.odds(FREE) + labeller.prior
    assert labeller.prior.abs().max() > 0.02, "the model has no preference that could be taken off"
    torch.testing.assert_close(
        raw.sigmoid().mean(0), labeller.prior.sigmoid(), rtol=1e-4, atol=1e-4
    )


def test_where_answers_disagree_no_class_gets_much():
    labeller = LMLabeller.of(tiny_llama(**PLACES))
    width = CLASS_WIDTH
    for odds, best in (([2, 2, 2, 2], 1.0), ([-2, -2, 2, 2], 0.5), ([-2, -1, 1, 2], 0.25)):
        answers = torch.tensor(odds, dtype=torch.float32).view(1, 2, 2) * width
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LMLabeller, "odds", lambda *_, found=answers: found)
            (row,) = labeller.probabilities(["x"])
        assert row.max() == pytest.approx(best)
        assert row.sum() == pytest.approx(1)


def test_long_sentences_are_cut_to_the_room_there_is(tmp_path):
    short = save_tiny(tmp_path / "short", "gpt2")
    labeller = LMLabeller.load(str(short))
    assert labeller.renderer.max_length == 64 + 1 - labeller.asked.ids.shape[1]
    one, other = labeller.probabilities(["good " * 200, "good " * 300])
    assert np.array_equal(one, other)


def one_token_words(_labeller, before, texts):
    return [[ord(text[0])] if before else [5 + len(text), 40 + ord(text[0])] for text in texts]


def test_words_of_one_token_give_what_longer_ones_would(monkeypatch):
    labeller = LMLabeller.of(tiny_llama(**PLACES), ("a", "bb"), (("c", "d"),))
    monkeypatch.setattr(LMLabeller, "_after", one_token_words)
    short = labeller.odds(SENTENCES)
    whole = LMLabeller.of(labeller.backbone, ("a", "bb"), (("c", "d"),))
    monkeypatch.setattr(LMLabeller, "answers", None)
    torch.testing.assert_close(short, whole.odds(SENTENCES), rtol=1e-3, atol=1e-4)


def test_labels_are_computed_on_one_thread(tmp_path, monkeypatch):
    handler = PoolHandler("lm", str(save_tiny(tmp_path / "m", **PLACES)))
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


def test_one_shard_is_labelled_on_all_cores_with_the_same_bytes(tmp_path, monkeypatch):
    labeller = LMLabeller.load(str(save_tiny(tmp_path / "m", **PLACES)), device="cpu")
    sentences, scored = [f"{text} {n}" for n in range(20) for text in SENTENCES], set()
    labeller.probabilities(SENTENCES)  # the prior is read once, before
    score = labeller.backbone.score

    def slowly(*arguments):
        scored.add((threading.get_ident(), torch.get_num_threads()))
        time.sleep(0.01)
        return score(*arguments)

    monkeypatch.setattr(labeller.backbone, "score", slowly)
    found = []
    with one_thread():
        for cores in (1, 3):
            scored.clear()
            monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
            found.append(labeller.probabilities(sentences).tobytes())
            assert len({thread for thread, _ in scored}) == cores
            assert {threads for _, threads in scored} == {1}
    assert found[0] == found[1]


def test_one_process_or_two_give_the_same_bytes(tmp_path):
    name = f"lm:{save_tiny(tmp_path / 'm', **PLACES)}"
    files = [DOCUMENTS / f"{kind}.jsonl" for kind in ("praise", "complaints", "opinions")]
    for workers in (1, 2):
        build(
            "--input", *files, "--output", tmp_path / f"c{workers}", "--num_shards", 2,
            "--formats", "sentiment,unified", "--labeller", name, "--workers", workers,
            "--sentiment_thresholds", ",".join(["0.2"] * 5),  # random answers seldom agree
            "--max_examples_per_document", 8,
        )  # fmt: skip
    assert digests(tmp_path / "c1") == digests(tmp_path / "c2")
    found = manifest(tmp_path / "c1", "sentiment")
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
    defaults = {name: find_labeller(name).thresholds for name in ("vader", "model:x", "lm:x")}
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
