"""Answers by the texts of options: scored as a plain loop scores them, trained, and refused."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from ppt.backbones import base
from ppt.backbones.causal import TEXT, side_by_side
from ppt.errors import ConfigError, InputError
from ppt.fewshot.__main__ import main as fewshot
from ppt.pretrain import main as pretrain
from ppt.prompts.batches import collate, join, pack
from ppt.prompts.files import read_card
from ppt.prompts.rendering import OPTION_TOKENS, Rendered, Renderer
from ppt.tasks.table import TASKS
from tests.builds import DOCUMENTS, build
from tests.tiny import save_tiny, tiny, tiny_prompt

ROWS = [
    {"text_a": "Who left", "options": ["A ship", "It", "the long way round"], "label": 2},
    {"text_a": "And", "options": ["then", "so it ended"], "label": 0},
    {"text_a": "Why was that so", "options": ["it was", "nobody knows at all", "hm", "why"],
     "label": 1},
]  # fmt: skip
PLACES = {"max_position_embeddings": 512}


def rendered(backbone, rows=ROWS, style="soft", format_name="multiple_choice"):
    renderer = Renderer.standard(
        format_name, "suffix", style, backbone.tokenizer, 64, answers="texts"
    )
    return pack(renderer.rows(iter(rows))), renderer


def plain_scores(backbone, prompt, rows, style):
    """The mean log-probability of each option's tokens, by the model itself, one at a time."""
    found = torch.full((len(rows), 6), -torch.inf)
    joint = {"soft": "\n=>", "hard": ""}[style]

    def encode(text):
        return backbone.tokenizer(text, add_special_tokens=False).input_ids

    for i, row in enumerate(rows):
        text = encode(row["text_a"] + joint)
        for j, option in enumerate(row["options"]):
            ids = encode(f" {option}")
            embeds = backbone.model.get_input_embeddings()(torch.tensor(text + ids))
            if prompt is not None:
                embeds = torch.cat([prompt, embeds])
            logits = backbone.model(inputs_embeds=embeds[None]).logits[0, -len(ids) - 1 : -1]
            found[i, j] = logits.log_softmax(-1)[torch.arange(len(ids)), ids].mean()
    return found


@pytest.mark.parametrize("style", ["soft", "hard"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_scores_and_gradients_are_those_of_a_plain_loop(family, shared, style):
    backbone = tiny(family, shared_prefix=shared)
    rows, renderer = rendered(backbone, style=style)
    batch = collate(rows, np.arange(3), renderer.words())
    prompt, other = (tiny_prompt(backbone, seed=1) for _ in range(2))
    scores = backbone.score(prompt, batch)
    expected = plain_scores(backbone, other, ROWS, style)
    torch.testing.assert_close(scores, expected, rtol=1e-3, atol=1e-3)
    cross_entropy(scores, batch.labels).backward()
    cross_entropy(expected, batch.labels).backward()
    torch.testing.assert_close(prompt.grad, other.grad, rtol=1e-2, atol=1e-4)
    alone = plain_scores(backbone, None, ROWS, style)
    torch.testing.assert_close(backbone.score(None, batch), alone, rtol=1e-3, atol=1e-3)


def test_a_bank_scores_each_part_with_its_own_prompt():
    backbone = tiny("llama")
    rows, renderer = rendered(backbone)
    bank = tiny_prompt(backbone, bank=(2,)).detach()
    batch = collate(rows, np.array([0, 1, 2, 1]), renderer.words())
    scores = backbone.score(bank, batch)
    for lane, chosen in enumerate(([0, 1], [2, 1])):
        own = collate(rows, np.array(chosen), renderer.words())
        torch.testing.assert_close(
            scores[2 * lane : 2 * lane + 2], backbone.score(bank[lane], own), rtol=1e-3, atol=1e-3
        )


def test_the_head_in_parts_gives_the_same(monkeypatch):
    backbone = tiny("llama")
    rows, renderer = rendered(backbone)
    batch = collate(rows, np.arange(3), renderer.words())
    found = []
    for limit in (2**27, 1):
        monkeypatch.setattr(base, "LOGITS_AT_ONCE", limit)
        prompt = tiny_prompt(backbone)
        scores = backbone.score(prompt, batch)
        cross_entropy(scores, batch.labels).backward()
        found.append((scores.detach(), prompt.grad))
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)


OPTIONS = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=5), min_size=1, max_size=4)


@given(st.lists(OPTIONS, min_size=1, max_size=5), st.integers(1, 4))
def test_packed_options_come_back_in_batches(rows, parts):
    given_rows = [Rendered([7], 0, len(own), False, tuple(own)) for own in rows]
    whole = join([pack(given_rows[start::parts]) for start in range(min(parts, len(rows)))])
    order = [i for start in range(min(parts, len(rows))) for i in range(start, len(rows), parts)]
    words = base.LabelWords(torch.arange(1, 7)[:, None], torch.ones(6, dtype=torch.long))
    batch = collate(whole, np.arange(len(rows)), words)
    assert batch.words.ids.shape[:2] == (len(rows), max(map(len, rows)))
    for place, row in enumerate(order):
        for label, ids in enumerate(rows[row]):
            assert (
                batch.words.ids[place, label, : batch.words.lengths[place, label]].tolist() == ids
            )
            assert whole.choices.of(place, label) == ids
        assert batch.allowed[place].sum() == len(rows[row])
    assert whole.lengths.tolist() == [1 + sum(map(len, rows[row])) for row in order]
    none = collate(whole, np.arange(0), words)  # of a process beyond the rows of a batch
    assert none.words.ids.shape == (0, 1, 1)
    assert none.allowed.shape == (0, 6)


def test_long_options_are_cut_and_empty_ones_refused():
    backbone = tiny("llama")
    rows, _ = rendered(backbone, [{**ROWS[0], "options": ["long " * 50, "b"], "label": 0}])
    assert len(rows.choices.of(0, 0)) == OPTION_TOKENS
    with pytest.raises(InputError, match="label 3 of 2 options"):
        rendered(backbone, [{**ROWS[1], "label": 3}])


def test_unified_rows_are_asked_as_their_own_kind():
    backbone = tiny("llama")
    pair = {"text_a": "a", "text_b": "b", "options": ["no", "maybe", "yes"], "label": 0}
    mood = {"text_a": "x", "kind": "sentiment", "options": ["bad", "good"], "label": 1}
    _, renderer = rendered(backbone, [pair, mood], "hard", "unified")
    shown = [renderer.pattern.form(row).fill({"text_a": "A", "text_b": "B"})[0]
             for row in (pair, mood, ROWS[0])]  # fmt: skip
    assert shown == [
        "B\nQuestion: A?\nAnswer:",
        "Review: A\nIn one word, the reviewer describes it as",
        "A",
    ]


def test_what_has_no_options_or_no_causal_model_is_refused():
    tokenizer = tiny("llama").tokenizer
    for name, layout in (("sentiment", "suffix"), ("multiple_choice", "cloze")):
        with pytest.raises(ConfigError, match="need a format with options and a causal model"):
            Renderer.standard(name, layout, "soft", tokenizer, 64, answers="texts")
    with pytest.raises(ConfigError, match="need a causal model"):
        TASKS["race_middle"].pattern("cloze", "soft", by_text=True)


def test_a_prompt_by_texts_is_trained_and_serves_tasks_by_texts(tmp_path, capsys):
    model = save_tiny(tmp_path / "m", **PLACES)
    build(
        "--input", DOCUMENTS / "praise.jsonl", DOCUMENTS / "opinions.jsonl",
        DOCUMENTS / "complaints.jsonl", "--output", tmp_path / "c",
        "--formats", "multiple_choice", "--validation_fraction", 0.2,
    )  # fmt: skip
    run = tmp_path / "run"
    flags = [
        "--format=multiple_choice", f"--corpus={tmp_path / 'c/multiple_choice'}",
        f"--model={model}", f"--output_dir={run}", "--max_steps=3", "--eval_steps=3",
        "--max_length=48", "--max_eval_examples=8", "--answers=texts",
        "--per_device_train_batch_size=4",
    ]  # fmt: skip
    assert pretrain(flags) == 0
    assert read_card(run / "prompt")["answers"] == "texts"
    rows = [
        {
            "q": f"What is {i}?",
            "a": f"it is {i}",
            "b": "no",
            "c": "who knows",
            "answer": "ABC"[i % 3],
        }
        for i in range(30)
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "t.yaml").write_text(
        "name: quiz\nformat: multiple_choice\ntrain: t.jsonl\nanswer: letter\n"
        "columns:\n  text_a: q\n  options: [a, b, c]\n  label: answer\n"
    )
    grid = [
        f"--task_file={tmp_path / 't.yaml'}", f"--model={model}", f"--prompt={run}",
        f"--output_dir={tmp_path / 'r'}", "--shots=4", "--seeds=1", "--max_steps=2",
        "--methods=zero_shot,zero_shot_calibrated,in_context,prompt_tuning,ppt,lora",
        "--context_length=200",
    ]  # fmt: skip
    assert fewshot([*grid, "--answers=texts"]) == 0
    found = [json.loads(line) for line in (tmp_path / "r/results.jsonl").read_text().splitlines()]
    assert len(found) == 6
    assert all(row["chance"] == pytest.approx(1 / 3) for row in found)
    assert fewshot([*grid[:-2], "--methods=ppt", f"--output_dir={tmp_path / 's'}"]) == 2
    assert "needs a prompt of format multiple_choice" in capsys.readouterr().err


@given(
    st.lists(OPTIONS, min_size=1, max_size=5), st.lists(st.integers(1, 9), min_size=5), st.data()
)
def test_options_follow_their_text_without_gaps(rows, lengths, data):
    multiple = data.draw(st.sampled_from([1, 4]))
    own = [Rendered([300 + n] * n, 0, len(row), False, tuple(row))
           for n, row in zip(lengths, rows, strict=False)]  # fmt: skip
    words = base.LabelWords(torch.arange(1, 7)[:, None], torch.ones(6, dtype=torch.long))
    batch = collate(pack(own), np.arange(len(own)), words, multiple=multiple)
    last = batch.attention_mask.sum(1, keepdim=True) - 1
    ids, branch, read = side_by_side(batch, last)
    later = [sum(len(option) - 1 for option in row.choices) for row in own]
    assert ids.shape[1] - max(map(sum, zip(lengths, later, strict=False))) in range(multiple)
    assert read.shape[1] - 1 - max(later) in range(multiple)
    for i, row in enumerate(own):
        follows = [(token, n) for n, option in enumerate(row.choices) for token in option[:-1]]
        real = [*((token, TEXT) for token in row.ids), *follows]
        assert list(zip(ids[i].tolist(), branch[i].tolist(), strict=True))[: len(real)] == real
        assert read[i, : 1 + len(follows)].tolist() == [*range(len(row.ids) - 1, len(real))]


def test_padding_asks_for_no_position_that_a_model_lacks():
    backbone = tiny("gpt2", max_position_embeddings=24)
    options = [["a b c"] * 6, ["a", "b"]]
    rows, renderer = rendered(backbone, [
        {"text_a": "so it was", "options": options[0], "label": 0},
        {"text_a": "so", "options": options[1], "label": 1},
    ])  # fmt: skip
    batch = collate(rows, np.arange(2), renderer.words())
    assert batch.input_ids.shape[1] > 24 >= rows.longest + rows.choices.longest
    scores = backbone.score(None, batch)
    one = collate(rows, np.arange(1, 2), renderer.words())
    torch.testing.assert_close(scores[1:], backbone.score(None, one), rtol=1e-3, atol=1e-3)
