"""Nothing foreign runs: a model's folder is data, whatever it asks for and whoever says yes."""

import json
import pickle

import pytest
import torch

from ppt.backbones.loading import load_backbone
from ppt.errors import ConfigError, InputError, PPTError
from tests.test_labelling import POOLS, run_labeller, save_classifier
from tests.tiny import save_tiny, tiny, tiny_batch, tiny_model, tiny_tokenizer

CODE = """
import pathlib
pathlib.Path({mark!r}).write_text("ran")
from transformers import PreTrainedConfig
class Config(PreTrainedConfig):
    model_type = "foreign"
"""
CLASSES = {
    "AutoConfig": "code.Config",
    "AutoModelForCausalLM": "code.Config",
    "AutoModelForSequenceClassification": "code.Config",
}


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """A file that foreign code would write; whoever is asked says yes."""
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    file = tmp_path / "mark"
    yield file
    assert not file.exists(), "foreign code ran"


class Pickled:
    """Unpickling it writes the mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return exec, (f"open({str(self.mark)!r}, 'w').write('ran')",)


def edit(file, **fields):
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def with_code(folder, mark, *, model_type=None, tokenizer=False):
    (folder / "code.py").write_text(CODE.format(mark=str(mark)))
    config = json.loads((folder / "config.json").read_text())
    edit(folder / "config.json", auto_map=CLASSES, model_type=model_type or config["model_type"])
    if tokenizer:
        words = {"AutoTokenizer": ["code.Config", "code.Config"]}
        edit(folder / "tokenizer_config.json", auto_map=words, tokenizer_class="Words")


def only_pickled(folder, mark):
    """The weights as a pickle that runs code."""
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"lm_head.weight": Pickled(mark)}))


def test_the_folder_would_run_code_if_it_were_let(tmp_path):
    """The trap itself works: else the tests below would show nothing."""
    from transformers import AutoConfig

    folder, mark = save_tiny(tmp_path / "model"), tmp_path / "mark"
    with_code(folder, mark, model_type="foreign")
    AutoConfig.from_pretrained(folder, trust_remote_code=True)
    assert mark.exists()
    mark.unlink()
    only_pickled(folder, mark)
    pickle.loads((folder / "pytorch_model.bin").read_bytes())
    assert mark.exists()


def test_a_model_of_foreign_type_is_one_line(tmp_path, mark):
    folder = save_tiny(tmp_path / "model")
    with_code(folder, mark, model_type="foreign")
    with pytest.raises(InputError, match=r"cannot read config\.json.*custom code") as caught:
        load_backbone(str(folder), device="cpu")
    assert "\n" not in str(caught.value)


def test_a_model_of_known_type_is_read_without_its_code(tmp_path, mark):
    folder = save_tiny(tmp_path / "model")
    with_code(folder, mark)
    batch, backbone = tiny_batch("multi"), load_backbone(str(folder), device="cpu")
    torch.testing.assert_close(backbone.score(None, batch), tiny("llama").score(None, batch))


def test_a_tokenizer_of_foreign_class_is_one_line(tmp_path, mark):
    folder = save_tiny(tmp_path / "model")
    with_code(folder, mark, tokenizer=True)
    with pytest.raises(InputError, match="cannot read the tokenizer") as caught:
        load_backbone(str(folder), device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", None])
def test_pickled_weights_are_not_read_and_the_way_out_is_told(name, tmp_path, mark):
    folder = save_tiny(tmp_path / "model")
    only_pickled(folder, mark)
    if name:
        (folder / "pytorch_model.bin").rename(folder / name)
    else:
        (folder / "pytorch_model.bin").unlink()
    told = r"no weights as safetensors.*never read.*convert"
    with pytest.raises(InputError, match=told) as caught:
        load_backbone(str(folder), device="cpu")
    assert "\n" not in str(caught.value)
    assert "save_pretrained" in str(caught.value)


def test_safetensors_are_read_where_both_are_there(tmp_path, mark):
    folder = save_tiny(tmp_path / "model")
    weights = (folder / "model.safetensors").read_bytes()
    only_pickled(folder, mark)
    (folder / "model.safetensors").write_bytes(weights)
    assert load_backbone(str(folder), device="cpu").hidden_size == 32


def test_other_safetensors_do_not_let_pickled_weights_in(tmp_path):
    folder = save_tiny(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    torch.save(tiny_model("llama").state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="cannot read the weights") as caught:
        load_backbone(str(folder), device="cpu")
    assert "\n" not in str(caught.value)


def test_what_was_converted_as_told_loads(tmp_path):
    from transformers import AutoModelForCausalLM

    folder, model = save_tiny(tmp_path / "model"), tiny_model("llama")
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path / "converted")
    tiny_tokenizer().save_pretrained(tmp_path / "converted")
    batch = tiny_batch("multi")
    loaded = load_backbone(str(tmp_path / "converted"), device="cpu")
    torch.testing.assert_close(loaded.score(None, batch), tiny("llama").score(None, batch))


def test_a_folder_with_an_adapter_names_it(tmp_path):
    """transformers would read the adapter too, or in place of it another model from the hub."""
    folder = save_tiny(tmp_path / "model")
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/other"}')
    with pytest.raises(InputError, match="holds an adapter"):
        load_backbone(str(folder), device="cpu")


def test_a_config_cannot_ask_for_kernels_of_the_hub(tmp_path):
    folder = save_tiny(tmp_path / "model")
    kernel = "someone/kernel"
    edit(folder / "config.json", attn_implementation=kernel, _attn_implementation=kernel)
    backbone = load_backbone(str(folder), device="cpu")
    assert backbone.model.config._attn_implementation in {"sdpa", "eager"}


# --- labellers ----------------------------------------------------------------------------


def test_a_classifier_of_foreign_type_is_one_line(tmp_path, mark):
    from pipelines.labelling import check_labeller

    folder = save_classifier(tmp_path / "model")
    with_code(folder, mark, model_type="foreign")
    with pytest.raises(ConfigError, match=r"cannot load the classifier.*custom code") as caught:
        check_labeller(f"model:{folder}")
    assert "\n" not in str(caught.value)


def test_a_classifier_of_known_type_labels_without_its_code(tmp_path, mark):
    plain, coded = (save_classifier(tmp_path / name) for name in ("plain", "coded"))
    with_code(coded, mark)
    edit(coded / "config.json", attn_implementation="someone/kernel")
    expected, labelled = (run_labeller(f"model:{folder}", POOLS[:1]) for folder in (plain, coded))
    assert (labelled["one"] == expected["one"]).all()


def test_a_classifier_with_pickled_weights_is_refused_before_any_work(tmp_path, mark):
    from pipelines.labelling import check_labeller
    from pipelines.model_labellers import Classifier

    folder = save_classifier(tmp_path / "model")
    only_pickled(folder, mark)
    for refused in (
        lambda: check_labeller(f"model:{folder}"),
        lambda: Classifier.load(str(folder)),
    ):
        with pytest.raises(PPTError, match="no weights as safetensors"):
            refused()
