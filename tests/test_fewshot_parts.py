"""The parts of the few-shot tuner: metrics, verdicts, contexts, the plan, the store."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ppt.errors import InputError, OutputError
from ppt.fewshot.grid import banks
from ppt.fewshot.predictions import measure, predict, single
from ppt.fewshot.settings import FewshotConfig
from ppt.methods import GRID, METHODS
from ppt.prompts.batches import collate, pack
from ppt.prompts.encoder import Encoder
from ppt.prompts.files import Prompt
from ppt.prompts.in_context import alternating, demonstrations, without_start
from ppt.prompts.rendering import Rendered, Renderer
from ppt.results.predictions import PREDICTION_COLUMNS
from ppt.results.run import read_run
from ppt.results.statistics import accuracy, confusion, macro_f1
from ppt.results.store import ResultStore
from ppt.results.trial import Trial
from ppt.transfer.library import choose_prompt
from tests.synthetic import synthetic_run
from tests.tiny import tiny
from tests.toys import toy_rows

LABELS = st.integers(2, 5).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.lists(st.tuples(*[st.integers(0, count - 1)] * 2), min_size=1, max_size=40),
    )
)


@given(LABELS)
def test_metrics_agree_with_their_definitions(drawn):
    count, pairs = drawn
    true, said = np.array(pairs).T
    table = confusion(true, said, count)
    assert table.tolist() == [
        [sum(pair == (i, j) for pair in pairs) for j in range(count)] for i in range(count)
    ]
    assert accuracy(true, said) == sum(i == j for i, j in pairs) / len(pairs)
    scores = []
    for label in {label for pair in pairs for label in pair}:
        hits = pairs.count((label, label))
        precision = hits / max(sum(j == label for _, j in pairs), 1)
        recall = hits / max(sum(i == label for i, _ in pairs), 1)
        scores.append(2 * precision * recall / (precision + recall) if hits else 0.0)
    assert macro_f1(table) == pytest.approx(sum(scores) / len(scores))


def test_a_vote_is_the_majority_and_a_tie_goes_by_mean_probability():
    probability = torch.tensor(
        [  # three rows: a clear majority, a tie of two, one label forbidden
            [[0.4, 0.6, 0.0], [0.9, 0.1, 0.0], [0.5, 0.5, 0.0]],
            [[0.4, 0.6, 0.0], [0.4, 0.6, 0.0], [0.2, 0.8, 0.0]],
            [[0.9, 0.1, 0.0], [0.4, 0.0, 0.6], [0.9, 0.1, 0.0]],
        ]
    )
    scores = probability.log()
    votes, means = predict(scores, "vote"), predict(scores, "mean")
    assert votes.predicted.tolist() == [1, 0, 0]
    assert votes.probability.tolist() == pytest.approx([2 / 3, 1 / 3, 2 / 3])
    assert means.predicted.tolist() == [0, 0, 0]
    assert torch.allclose(means.scores.exp(), probability.mean(0))
    assert torch.equal(votes.scores, means.scores)
    one = predict(scores[:1], None)
    assert torch.equal(one.predicted, single(scores[0]).predicted)
    assert torch.equal(one.scores, scores[0])
    sure = torch.tensor([[[0.0, -200.0]], [[0.0, -150.0]]])  # float32 ends at exp(-104)
    assert measure(predict(sure, "mean"), np.array([1]), "verbalizer").loss == pytest.approx(
        150 + math.log(2)
    )


@given(st.lists(st.integers(0, 3), max_size=20))
def test_labels_take_turns_at_every_length(labels):
    order = alternating(labels)
    assert sorted(order) == list(range(len(labels)))
    for end in range(len(order)):
        seen = [labels[row] for row in order[:end]]
        left = {labels[row] for row in order[end:]}
        for label in left:
            assert seen.count(label) + 1 >= max((seen.count(other) for other in left), default=0)


@pytest.mark.parametrize("family", ["llama", "t5"])
@pytest.mark.parametrize("starts", [(), ("<unk>",)])
def test_a_context_scores_as_the_texts_in_one_piece(family, starts):
    backbone = tiny(family, max_position_embeddings=256) if family == "llama" else tiny(family)
    renderer = Renderer.standard("sentiment", backbone.layout, "hard", backbone.tokenizer, 64)
    encoder = Encoder.of(backbone.tokenizer)
    start = backbone.tokenizer.convert_tokens_to_ids(list(starts))
    encoder = replace(encoder, start=start)
    rendered = renderer.rows(iter(toy_rows("sentiment", 9)))
    rows = pack(replace(row, ids=start + row.ids) for row in rendered)
    words = renderer.words()
    layout = renderer.pattern.layout
    shown = demonstrations(rows, words, encoder, layout, room=130)
    ids, count = shown.ids, shown.count
    assert 0 < count < 9
    assert len(ids) <= 130
    assert ids[: len(start)] == start
    text = backbone.tokenizer.decode(ids[len(start) :])
    assert text.count(renderer.pattern.before[-1].strip()) == count
    assert "<extra_id_0>" not in text
    after = without_start(rows, start)
    batch = collate(after, np.arange(9), words)
    context = backbone.input_embeddings()[torch.tensor(ids)]
    for row in range(9):
        own = after.ids[after.starts[row] : after.starts[row + 1]].tolist()
        whole = pack([Rendered(ids + own, label=0, options=0, cut=False)])
        together = backbone.score(None, collate(whole, np.array([0]), words))
        assert torch.allclose(backbone.score(context, batch)[row], together[0], atol=1e-2)


TRIALS = [
    Trial(task, method, shots, seed, rate).named({"steps": 1})
    for task, shots, seed in itertools.product(("a", "b"), (16, 32), (0, 1, 2))
    for method, rates in (
        ("zero_shot", [None]), ("ppt", [1.0, 2.0]), ("prompt_tuning", [1.0, 2.0]),
        ("ensemble_vote", [1.0, 2.0]), ("ensemble_mean", [1.0, 2.0]), ("lora", [1.0]),
    )
    for rate in rates
]  # fmt: skip


@pytest.mark.parametrize("side_by_side", [1, 4, 100])
def test_banks_hold_every_trial_once_and_like_with_like(side_by_side):
    made = banks(TRIALS, side_by_side)
    assert sorted(one.id for bank in made for one in bank.trials) == sorted(
        one.id for one in TRIALS
    )
    for bank in made:
        assert len({(one.task, one.shots) for one in bank.trials}) == 1
        methods = {one.method for one in bank.trials}
        assert len(methods) == 1 or methods == {"ensemble_vote", "ensemble_mean"}
        lanes = len(bank.points) * bank.method.members
        if bank.method.trains == "prompt":
            assert lanes <= max(side_by_side, bank.method.members)
        if bank.method.alone:
            assert lanes == 1
        for one in bank.trials:
            mine = [bank.lane(one, member) for member in range(bank.method.members)]
            assert bank.points[mine[0] // bank.method.members] == (one.seed, one.learning_rate)
            assert max(mine) < lanes


def test_an_id_names_all_that_decides():
    one = Trial("sst2", "ppt", 32, 0, 0.1)
    others = [
        one.named({"steps": 2}), one.named({"steps": 1, "prompt": "x"}),
        *(replace(one, **change).named({"steps": 1}) for change in (
            {"task": "rte"}, {"method": "lora"}, {"shots": 16}, {"seed": 1},
            {"learning_rate": 0.2})),
    ]  # fmt: skip
    ids = [one.named({"steps": 1}).id, *(other.id for other in others)]
    assert len(set(ids)) == len(ids)
    assert one.named({"steps": 1}).id == ids[0]


def row_of(one):
    values = synthetic_run(one.task, one.method, one.shots, one.seed, one.learning_rate, steps=4)
    return read_run({**values, "run": one.id}, "here")


def part_of(one):
    names = PREDICTION_COLUMNS.names
    return pa.table({name: [None] for name in names}, schema=PREDICTION_COLUMNS).set_column(
        0, "run", pa.array([one.id])
    )


@pytest.mark.promise("torn")
@pytest.mark.parametrize("cut", [1, 9, -1])
def test_a_torn_last_line_is_made_again_and_no_row_stands_twice(tmp_path, cut):
    one, two, three = TRIALS[:3]
    store = ResultStore(tmp_path)
    assert store.missing(TRIALS[:3]) == TRIALS[:3]
    store.add([row_of(one), row_of(two)], {t.id: part_of(t) for t in (one, two)})
    whole = (tmp_path / "results.jsonl").read_bytes()
    last = whole.rfind(b"\n", 0, -1) + 1
    (tmp_path / "results.jsonl").write_bytes(whole[: last + cut] if cut > 0 else whole[:cut])
    store = ResultStore(tmp_path)
    told = ("The last line of results.jsonl was cut off and is left out.",)
    assert store.notes == (told if cut > 0 else ())
    left = [two, three] if cut > 0 else [three]  # without its line feed a line is whole
    assert store.missing(TRIALS[:3]) == left
    store.add([*map(row_of, left)], {t.id: part_of(t) for t in left})
    assert ResultStore(tmp_path).notes == ()
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["run"] for line in lines] == [one.id, two.id, three.id]
    assert ResultStore(tmp_path).missing(TRIALS[:3]) == []
    table = pa.parquet.read_table(store.write_predictions())
    assert table["run"].to_pylist() == [one.id, two.id, three.id]


def test_two_processes_do_not_write_over_each_other(tmp_path):
    first, second = ResultStore(tmp_path), ResultStore(tmp_path)
    one, two = TRIALS[:2]
    first.add([row_of(one)], {one.id: part_of(one)})
    with pytest.raises(OutputError, match="changed meanwhile, by another process"):
        second.add([row_of(two)], {two.id: part_of(two)})
    assert list(ResultStore(tmp_path).runs) == [one.id]


def test_a_place_of_the_grid_is_never_made_from_two_things(tmp_path):
    store = ResultStore(tmp_path)
    one = TRIALS[1]
    store.add([row_of(one)], {one.id: part_of(one)})
    other = one.named({"steps": 2})
    words = r"with another prompt, data or program \(or of a version that named runs otherwise\)"
    with pytest.raises(OutputError, match=words):
        ResultStore(tmp_path).missing([other])
    store.add([row_of(other)], {other.id: part_of(other)})  # as of two files put together
    for known in (one, other):
        with pytest.raises(OutputError, match=words):
            ResultStore(tmp_path).missing([known])


def as_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x"), as_folder]
)
def test_predictions_that_are_gone_or_broken_are_one_error(tmp_path, spoil):
    store, one = ResultStore(tmp_path), TRIALS[0]
    store.add([row_of(one)], {one.id: part_of(one)})
    spoil(tmp_path / "predictions" / f"{one.id}.parquet")
    with pytest.raises(OutputError, match=r"cannot write .*predictions\.parquet: ") as error:
        store.write_predictions()
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.glob("*predictions*")] == ["predictions"]


def test_rates_come_from_the_method_or_the_flags():
    def rates(name, **changes):
        return list(FewshotConfig(tasks="sst2", **changes).rates_of(METHODS[name]))

    assert rates("zero_shot", grid="0.1,0.2") == [None]
    assert rates("ppt") == [2e-3]
    assert rates("ppt", optimizer="adafactor") == [0.1]
    assert rates("lora", learning_rate=0.5) == [0.5]
    assert rates("prompt_tuning", grid="0.2,0.1,0.2") == [0.1, 0.2]
    assert rates("prompt_tuning", grid="method") == [5e-3 * factor for factor in GRID]


def test_a_prompt_is_chosen_by_format_style_and_backbone(tmp_path):
    def saved(name, **card):
        usual = {"format": "sentiment", "style": "soft", "backbone": "smollm2-135m"}
        return Prompt({**usual, **card}, tmp_path / name)

    soft, hybrid = saved("soft"), saved("hybrid", style="hybrid")
    tuned = saved("tuned", task="sst2")
    hub = saved("hub", format="unified", backbone="x", model="HuggingFaceTB/SmolLM2-135M-Instruct")
    everything = [soft, hybrid, tuned, hub]

    def chosen(format_name, style, prompts=everything, model="smollm2-135m"):
        return choose_prompt(prompts, format_name, style, model, "ppt on sst2")

    assert chosen("sentiment", "soft") is soft
    assert chosen("sentiment", "hybrid") is hybrid
    assert chosen("unified", "soft") is hub
    foreign = Prompt({}, tmp_path / "foreign")
    assert chosen("sentence_pair", "soft", [foreign]) is foreign
    with pytest.raises(InputError, match="several prompts fit"):
        chosen("sentiment", "soft", [*everything, foreign])
    with pytest.raises(InputError, match=r"--format=sentence_pair\)"):
        chosen("sentence_pair", "soft")
    with pytest.raises(InputError, match="was trained for smollm2-135m, got --model gpt2"):
        chosen("sentiment", "soft", model="gpt2")
    for version, style, trains in ((2, "hybrid", "prompt"), (1, "hard", "lora")):
        card = {"format": "sentiment", "style": style, "patterns_version": version}
        old = [Prompt(card, trains=trains)]
        with pytest.raises(InputError, match=f"the {style} .* trained beside other hard words"):
            choose_prompt(old, "sentiment", style, "smollm2-135m", "ppt on sst2", trains)
