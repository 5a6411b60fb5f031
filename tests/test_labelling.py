"""`pipelines.labelling`: names, VADER and classifiers in a real Beam pipeline; no network."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import apache_beam as beam
import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from safetensors.torch import load_file, save_file

from pipelines.config import BuildConfig
from pipelines.labelling import (
    LABELLERS,
    Labeller,
    by_function,
    check_labeller,
    find_labeller,
    labeller_digest,
    make_labeller,
    members_of,
)
from pipelines.model_labellers import SCALES, Classifier, PoolHandler, class_order
from ppt.corpus.sentiment import LABELS, LM_THRESHOLDS, agreed, class_distribution
from ppt.errors import ConfigError, PPTError, UnknownNameError
from ppt.text.vader import vader_compound

WORDS = ["a", "good", "bad", "film", "and", "then", "some", "more", "words", "follow", "."]
POOLS = [
    ("one", [" ".join((WORDS * 3)[start : start + size]) for start, size in
             [(0, 3), (2, 19), (1, 1), (4, 7), (3, 12), (0, 30), (5, 2), (6, 6), (7, 4), (1, 9)]]),
    ("two", ["", "words nobody knows", "good " * 300]),
    ("none", []),
]  # fmt: skip


def save_classifier(folder, names=LABELS, architecture="BertForSequenceClassification"):
    """A tiny random classifier with a word-piece tokenizer; `names` are its classes."""
    folder.mkdir()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join([*special, *WORDS]))
    transformers.BertTokenizer(str(vocabulary)).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(special) + len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        initializer_range=1.0,  # so that a random model has opinions
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )
    getattr(transformers, architecture)(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return save_classifier(tmp_path_factory.mktemp("models") / "five")


COLLECTED, ASKED = {}, []


def collect(key, probabilities):
    COLLECTED[key] = probabilities


def counted(sentences):
    ASKED.append(len(sentences))
    return class_distribution(vader_compound(sentences))


def run_labeller(name, pools=POOLS):
    """{key: probabilities} of `pools`, out of a real pipeline, which runs in this process."""
    COLLECTED.clear()
    with beam.Pipeline("FnApiRunner", options=PipelineOptions([])) as pipeline:
        pools = pipeline | beam.Create(pools, reshuffle=False)
        _ = pools | make_labeller(name) | beam.MapTuple(collect)
    return dict(COLLECTED)


def one_at_a_time(folder, sentences):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rows = np.empty((len(sentences), 5), dtype=np.float32)
    for row, sentence in enumerate(sentences):
        inputs = tokenizer(sentence, return_tensors="pt", truncation=True, max_length=128)
        with torch.no_grad():
            rows[row] = model(**inputs).logits.softmax(-1)[0].numpy()
    return rows


@pytest.mark.parametrize(
    ("name", "kind", "model"),
    [
        ("model:some/thing", "model", "some/thing"),
        ("model:C:/m", "model", "C:/m"),
        ("lm:smollm2-135m", "lm", "smollm2-135m"),
    ],
)
def test_known_names(name, kind, model, monkeypatch):
    assert find_labeller(name) is LABELLERS[kind]
    asked = []
    monkeypatch.setitem(LABELLERS, kind, replace(LABELLERS[kind], check=asked.append))
    check_labeller(name)
    assert asked == [model]


@pytest.mark.parametrize("name", ["vadr", "", "vader:x", "llm:t5-small", "Model:x"])
def test_unknown_names(name):
    with pytest.raises(UnknownNameError, match=r"unknown labeller .* Known: lm:<.*model:<folder"):
        check_labeller(name)


@pytest.mark.parametrize("name", ["model:", "model", "model: ", "lm:", "lm"])
def test_a_model_must_be_named(name):
    with pytest.raises(ConfigError, match=f"expected {name[:2]}.*:<.*folder"):
        make_labeller(name)


def test_importing_the_interface_leaves_torch_alone():
    code = (
        "import sys, pipelines.labelling as it; it.make_labeller('vader'); it.check_labeller("
        "'vader'); it.make_labeller('model:x'); it.make_labeller('lm:x');"
        "print({'torch', 'transformers'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_vader_labels_pools():
    labelled = run_labeller("vader")
    assert labelled.keys() == dict(POOLS).keys()
    for key, sentences in POOLS:
        expected = class_distribution(vader_compound(sentences))
        np.testing.assert_array_equal(labelled[key], expected)


def test_a_model_labels_pools_as_it_labels_single_sentences(classifier):
    labelled = run_labeller(f"model:{classifier}")
    assert labelled.keys() == dict(POOLS).keys()
    for key, sentences in POOLS:
        assert labelled[key].dtype == np.float32
        expected = one_at_a_time(classifier, sentences)
        np.testing.assert_allclose(labelled[key], expected, rtol=1e-4, atol=1e-6)
    assert np.ptp(labelled["one"], axis=0).max() > 0.1, "the model tells no sentences apart"


def test_sentences_go_through_the_model_in_batches_of_like_length(classifier, monkeypatch):
    shapes = []
    forward = transformers.BertForSequenceClassification.forward

    def spy(self, input_ids, **inputs):
        assert torch.is_inference_mode_enabled()
        shapes.append(tuple(input_ids.shape))
        return forward(self, input_ids, **inputs)

    monkeypatch.setattr(transformers.BertForSequenceClassification, "forward", spy)
    monkeypatch.setattr("pipelines.model_labellers.BATCH_SIZE", 4)
    handler = PoolHandler("model", str(classifier))
    model = handler.load_model()
    shapes.clear()
    [result] = handler.run_inference([POOLS[0][1]], model)
    assert result.example == POOLS[0][1]
    assert result.inference.shape == (10, 5)
    assert [rows for rows, _ in shapes] == [4, 4, 2]
    lengths = sorted((2 + len(s.split()) for s in result.example), reverse=True)
    assert [width for _, width in shapes] == [lengths[0], lengths[4], lengths[8]]


def test_a_pool_is_a_batch_of_its_own_in_beam(classifier, monkeypatch):
    calls = []
    forward = transformers.BertForSequenceClassification.forward

    def spy(self, input_ids, **inputs):
        calls.append(len(input_ids))
        return forward(self, input_ids, **inputs)

    monkeypatch.setattr(transformers.BertForSequenceClassification, "forward", spy)
    run_labeller(f"model:{classifier}")
    assert calls.pop(0) == 2  # the probe, as it is loaded
    assert sorted(calls) == [3, 10]  # one pass a pool, none for the empty one


@pytest.mark.parametrize("scale", SCALES)
def test_classes_are_found_by_their_names(scale, tmp_path):
    shuffled = [3, 0, 4, 1, 2]
    folder = save_classifier(tmp_path / "model", [scale[index].title() for index in shuffled])
    assert class_order(str(folder)) == [shuffled.index(index) for index in range(5)]


@pytest.mark.parametrize(
    "names",
    [
        ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"],
        ["VERY_NEGATIVE", "Negative", "neutral", "Positive", "very-positive"],
        ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3", "LABEL_4"],
        ["negative", "bad", "so-so", "good", "great"],
        ["anger", "fear", "joy", "love", "sadness"],
    ],
)
def test_spelling_does_not_matter_and_unknown_names_keep_their_order(names, tmp_path, capsys):
    model = str(save_classifier(tmp_path / "model", names))
    assert class_order(model) == [0, 1, 2, 3, 4]
    check_labeller(f"model:{model}")
    known = names[0] in ("1 star", "VERY_NEGATIVE")
    told = f"classes {', '.join(names)}, which are taken in this order for terrible, bad, maybe"
    assert (told in capsys.readouterr().err) == (not known)


def test_columns_follow_the_names(tmp_path, classifier):
    reverse = save_classifier(tmp_path / "model", LABELS[::-1])
    sentences = POOLS[0][1]
    forth = run_labeller(f"model:{classifier}", POOLS[:1])["one"]
    back = run_labeller(f"model:{reverse}", POOLS[:1])["one"]
    np.testing.assert_allclose(back, forth[:, ::-1], rtol=1e-5)  # the weights are the same
    assert len(back) == len(sentences)


def test_check_accepts_a_classifier_without_its_weights(classifier, tmp_path):
    (tmp_path / "config.json").write_bytes((classifier / "config.json").read_bytes())
    check_labeller(f"model:{tmp_path}")


def edited_weights(change):
    def edit(folder):
        path = folder / "model.safetensors"
        weights = load_file(path)
        change(weights)
        save_file(weights, path, {"format": "pt"})

    return edit


def without_tokenizer(folder):
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (folder / name).unlink(missing_ok=True)


def edited_config(**fields):
    def edit(folder):
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return edit


FEWER_WORDS = {"bert.embeddings.word_embeddings.weight": torch.zeros(9, 32)}
SHORT = {"bert.embeddings.position_embeddings.weight": torch.zeros(16, 32)}


# What is done to a classifier's folder, and what the one line must say.
@pytest.mark.parametrize(
    ("harms", "told"),
    [
        ([edited_weights(lambda all_: all_.pop("classifier.weight"))], "lacks 1 of its weights"),
        ([edited_weights(lambda all_: all_["classifier.weight"].fill_(torch.nan))], "has NaN or"),
        ([edited_config(hidden_size=16)], "weights of other shapes"),
        ([lambda folder: os.truncate(folder / "model.safetensors", 500)], "cannot read the weigh"),
        ([without_tokenizer], "the tokenizer of .* knows no words"),
        ([edited_weights(lambda all_: all_.update(FEWER_WORDS)), edited_config(vocab_size=9)],
         "the model has 9 embeddings"),
        ([edited_weights(lambda all_: all_.update(SHORT)),
          edited_config(max_position_embeddings=16)], "cannot label two sentences"),
    ],
)  # fmt: skip
def test_check_refuses_a_classifier_that_cannot_label(harms, told, tmp_path):
    folder = save_classifier(tmp_path / "model")
    for harm in harms:
        harm(folder)
    for refused in (check_labeller, lambda name: Classifier.load(name.partition(":")[2])):
        with pytest.raises(PPTError, match=told) as caught:
            refused(f"model:{folder}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ends_texts", [False, True])
def test_a_decoder_without_a_token_to_pad_with_labels_as_it_does_alone(tmp_path, ends_texts):
    folder = save_classifier(tmp_path / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    end = "[SEP]" if ends_texts else "[MASK]"
    tokenizer.eos_token, tokenizer.pad_token, tokenizer.padding_side = end, None, "left"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=16, n_embd=32, n_layer=2, n_head=4, initializer_range=1.0, num_labels=5,
        bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    transformers.GPT2ForSequenceClassification(config).save_pretrained(folder)
    if ends_texts:  # it would be taken for padding, and the label read before it
        with pytest.raises(ConfigError, match=r"cannot label two sentences.*padding"):
            check_labeller(f"model:{folder}")
        return
    check_labeller(f"model:{folder}")
    labelled = run_labeller(f"model:{folder}", POOLS[:1])["one"]
    alone = one_at_a_time(folder, POOLS[0][1])
    np.testing.assert_allclose(labelled, alone, rtol=1e-4, atol=1e-6)


def test_check_refuses_another_number_of_classes(tmp_path):
    folder = save_classifier(tmp_path / "model", ["negative", "neutral", "positive"])
    message = r"has 3 classes \(negative, neutral, positive\), expected 5"
    with pytest.raises(ConfigError, match=message):
        check_labeller(f"model:{folder}")


def test_check_refuses_a_model_that_is_no_classifier(tmp_path):
    folder = save_classifier(tmp_path / "model", architecture="BertForMaskedLM")
    with pytest.raises(ConfigError, match="is BertForMaskedLM, expected one trained for Seq"):
        check_labeller(f"model:{folder}")


@pytest.mark.parametrize("config", [None, "{", json.dumps({"model_type": "nobody-knows"})])
def test_check_refuses_what_is_no_model(config, tmp_path):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(ConfigError, match="cannot load the classifier") as caught:
        check_labeller(f"model:{tmp_path}")
    assert "\n" not in str(caught.value)


def test_check_refuses_a_hub_id_that_is_not_at_hand(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="cannot load the classifier 'some/thing'") as caught:
        check_labeller("model:some/thing")
    assert "\n" not in str(caught.value)


def test_several_labellers_label_together_each_asked_once(classifier, monkeypatch, tmp_path):
    other = save_classifier(tmp_path / "other", LABELS[::-1])  # of another order
    monkeypatch.setitem(LABELLERS, "vader", Labeller("vader", lambda _: by_function(counted)))
    name = f"vader,model:{classifier},model:{other},vader"
    alone = [run_labeller(one) for one in ("vader", f"model:{classifier}", f"model:{other}")]
    ASKED.clear()
    labelled = run_labeller(name)
    assert sorted(ASKED) == sorted(len(sentences) for _, sentences in POOLS)
    for key, sentences in POOLS:
        expected = agreed([one[key] for one in alone], [2, 1, 1])
        np.testing.assert_array_equal(labelled[key], expected)
        assert labelled[key].shape == (len(sentences), len(LABELS))
        np.testing.assert_allclose(labelled[key].sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("vader", {"vader": 1}),
        ("vader,lm:a,vader", {"vader": 2, "lm:a": 1}),
        ("tuned:a,b,lm:c,tuned:a,b", {"tuned:a,b": 2, "lm:c": 1}),  # a comma in a path stays
        ("model:C:/m,lmx", {"model:C:/m,lmx": 1}),
        ("vader,vadr", {"vader,vadr": 1}),
    ],
)
def test_commas_part_labellers_where_one_begins(name, members):
    assert members_of(name) == members


def test_several_labellers_are_checked_and_described_as_one(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"got the labeller 'lm:', expected lm:<"):
        check_labeller("vader,lm:")
    with pytest.raises(UnknownNameError, match=r"unknown labeller 'vader,vadr'"):
        check_labeller("vader,vadr")
    one = find_labeller("vader,lm:x,model:y")
    assert (one.thresholds, one.libraries) == (LM_THRESHOLDS, ("torch", "transformers"))
    assert one.ahead == ("pipelines.model_labellers",)
    german = "Der Hund und die Katze sind nicht im Haus, aber sie haben es gern und mögen das. " * 9
    assert one.foreign(german) == LABELLERS["vader"].foreign(german) != ""
    (tmp_path / "a").write_text("1")
    name = f"vader,tuned:{tmp_path / 'a'}"
    before = labeller_digest(name)
    assert labeller_digest("vader,lm:nowhere") == "" != before
    (tmp_path / "a").write_text("2")
    assert labeller_digest(name) != before
    monkeypatch.setitem(LABELLERS, "mine", LABELLERS["vader"])
    sent = pickler.dumps(BuildConfig(labeller="mine,vader"))
    monkeypatch.delitem(LABELLERS, "mine")
    assert pickler.loads(sent).labeller == "mine,vader"  # a worker knows what came with it
    del LABELLERS["mine"]
