"""The loop of few-shot tuning: a lane in a bank is a run alone; weights come back as they were."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from ppt.backbones.loading import as_backbone
from ppt.errors import TrainingError
from ppt.fewshot.lanes import passes, score_rows, spans, tune
from ppt.prompts.batches import collate
from ppt.prompts.order import BatchOrder
from ppt.prompts.tensors import LabelWords
from ppt.training.trainables import PromptBank, Trainable, everything, lora
from tests.few import steps, toy_lanes
from tests.tiny import tiny, tiny_batch, tiny_model, tiny_prompt, tiny_tokenizer

POINTS = ((0, 0.02), (0, 0.05), (3, 0.02))
FAMILIES = ("llama", "t5")


def exact(family):
    """In float64 only real differences are left: training magnifies those of rounding."""
    return tiny(family, dtype=torch.float64)


def first(backbone, seeds):
    return [tiny_prompt(backbone, seed=seed).detach() for seed in seeds]


def bank_of(backbone, lanes, words, settings, tokens=10**6):
    """The prompts after training, and how each lane went."""
    bank = PromptBank(backbone, first(backbone, [lane.seed for lane in lanes]))
    courses = tune(bank, lanes, settings, words, tokens_at_once=tokens)
    return [prompt.folded() for prompt in bank.prompts], courses


def assert_same(one, other, tolerance=1e-5):
    """Two (prompt, course) are of one run, up to the order of sums."""
    (prompt, course), (prompt_2, course_2) = one, other
    assert torch.allclose(prompt, prompt_2, atol=tolerance)
    assert torch.allclose(course.scores, course_2.scores, atol=10 * tolerance)
    assert (course.best.step, course.course.step) == (course_2.best.step, course_2.course.step)
    assert [p.step for p in course.course.history] == [p.step for p in course_2.course.history]
    for point, point_2 in zip(course.course.history, course_2.course.history, strict=True):
        assert point.loss == pytest.approx(point_2.loss, rel=tolerance)
        assert point.accuracy == point_2.accuracy
    (steps, losses), (steps_2, losses_2) = (
        zip(*c.train_curve, strict=True) for c in (course, course_2)
    )
    assert steps == steps_2
    assert losses == pytest.approx(losses_2, rel=tolerance)


@pytest.mark.parametrize(
    ("optimizer", "tokens", "tolerance"),
    [("adamw", 10**6, 1e-5), ("adafactor", 150, 1e-5), ("adamw", 1, 1e-3)],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_lane_of_a_bank_is_a_run_alone(family, optimizer, tokens, tolerance):
    """Row by row, gradients are added up in float32, and differ a little more."""
    backbone, settings = exact(family), steps(optimizer=optimizer)
    lanes, words = toy_lanes(backbone, POINTS)
    together = zip(*bank_of(backbone, lanes, words, settings, tokens), strict=True)
    for lane, found in zip(lanes, together, strict=True):
        prompts, courses = bank_of(backbone, [lane], words, settings)
        assert_same(found, (prompts[0], courses[0]), tolerance)


class Breaking(PromptBank):
    """A bank whose lane 1 gives no numbers from its fifth training batch on."""

    batches = 0

    def score(self, which, batch, *how):
        scores = super().score(which, batch, *how)
        self.batches += scores.requires_grad
        if self.batches < 5 or 1 not in which:
            return scores
        broken = torch.tensor([lane == 1 for lane in which]).repeat_interleave(
            len(scores) // len(which)
        )
        return scores.masked_fill(broken[:, None], torch.nan)


def test_lanes_that_stop_or_diverge_leave_the_others_alone():
    backbone = exact("llama")
    settings = steps(early_stopping_patience=1, max_steps=20, metric_for_best_model="loss")
    points = ((0, 1e-3), (1, 1e-3), (2, 0.3), (3, 0.02))
    lanes, words = toy_lanes(backbone, points)
    bank = Breaking(backbone, first(backbone, [seed for seed, _ in points]))
    courses = tune(bank, lanes, settings, words, tokens_at_once=10**6)
    assert [one.course.diverged for one in courses] == [False, True, False, False]
    assert (courses[1].course.step, courses[1].course.stopped_early) == (4, True)
    assert all(torch.isfinite(prompt.folded()).all() for prompt in bank.prompts)
    assert len({one.course.step for one in courses}) > 2, "they must not all end together"
    for k in (0, 2, 3):
        alone, (course,) = bank_of(backbone, [lanes[k]], words, settings)
        assert course.course.stopped_early == courses[k].course.stopped_early
        assert_same((bank.prompts[k].folded(), courses[k]), (alone[0], course))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_lane_is_what_a_plain_loop_makes_of_it(family):
    """An oracle of a few lines: the mean loss of each batch, one prompt, PyTorch's own AdamW."""
    backbone, settings = exact(family), steps(max_steps=6, eval_steps=6, max_grad_norm=0.7)
    lanes, words = toy_lanes(backbone, POINTS)
    bank = PromptBank(backbone, first(backbone, [lane.seed for lane in lanes]))
    initial = [prompt.folded() for prompt in bank.prompts]
    bank.value = lambda k: []
    bank.restore = lambda k, _: None
    tune(bank, lanes, settings, words, tokens_at_once=200)
    for k, lane in enumerate(lanes):
        prompt = initial[k].requires_grad_()
        optimizer = torch.optim.AdamW([prompt], lr=lane.learning_rate, weight_decay=0.0)
        order = BatchOrder(lane.train.lengths, 4, lane.seed)
        for _ in range(6):
            batch = collate(lane.train, next(order), words)
            optimizer.zero_grad()
            cross_entropy(backbone.score(prompt, batch), batch.labels).backward()
            torch.nn.utils.clip_grad_norm_([prompt], 0.7)
            optimizer.step()
        assert torch.allclose(prompt, bank.prompts[k].folded(), atol=1e-5)


def test_nothing_trained_is_one_evaluation_of_all_lanes():
    backbone = tiny("llama")
    lanes, words = toy_lanes(backbone, ((0, None), (1, None)))
    courses = tune(Trainable(backbone, lanes=2), lanes, steps(), words, tokens_at_once=100)
    for lane, course in zip(lanes, courses, strict=True):
        batch = collate(lane.validation, np.arange(9), words)
        assert torch.allclose(course.scores, backbone.score(None, batch), atol=1e-4)
        assert (course.course.step, len(course.course.history)) == (0, 1)


def test_a_loss_that_is_no_number_before_training_is_an_error():
    backbone = tiny("llama")
    lanes, words = toy_lanes(backbone, POINTS[:1])
    bank = PromptBank(backbone, [torch.full((4, 32), torch.nan)])
    with pytest.raises(TrainingError, match="before the first step"):
        tune(bank, lanes, steps(), words, tokens_at_once=100)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_do_not_depend_on_how_rows_are_cut(family):
    backbone = tiny(family)
    lanes, words = toy_lanes(backbone, POINTS, format_name="unified")
    bank = PromptBank(backbone, first(backbone, [0, 1, 2]))
    chosen = torch.randint(0, 13, (2, 13)).numpy()
    scores = [
        score_rows(bank, [0, 2], lanes[0].train, chosen, words, loss="verbalizer",
                   tokens_at_once=tokens)
        for tokens in (1, 130, 10**6)
    ]  # fmt: skip
    assert torch.allclose(scores[0], scores[1], atol=1e-3)
    assert torch.allclose(scores[0], scores[2], atol=1e-3)
    one = collate(lanes[0].train, chosen[1][4:5], words)
    assert torch.allclose(
        scores[0][1, 4], backbone.score(bank.prompts[2].folded(), one)[0], atol=1e-3
    )


def test_label_words_count_among_the_tokens_of_a_pass_where_they_are_many(monkeypatch):
    """Of 77 intents of two tokens or more the words are most of what is read."""
    backbone = tiny("llama")
    lanes, _ = toy_lanes(backbone, POINTS[:1])
    tokens = torch.randint(3, 60, (77, 4), generator=torch.Generator().manual_seed(0))
    words = LabelWords(tokens, torch.full((77,), 4))
    score, read = backbone.score, []

    def told(prompt, batch, **options):
        read.append(len(batch) * (batch.input_ids.shape[1] + 77 * 3))
        return score(prompt, batch, **options)

    monkeypatch.setattr(backbone, "score", told)
    most, found = [], []
    for room in (10**6, 500):
        bank = PromptBank(backbone, first(backbone, [0]))
        found.append(tune(bank, lanes, steps(max_steps=1), words, tokens_at_once=room)[0].scores)
        most.append(max(read))
        read.clear()
    assert torch.allclose(*found, atol=1e-3)
    assert most[0] > 9 * 77 * 3
    assert most[1] <= 2 * 500


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 50), st.integers(1, 900))
def test_passes_cover_every_row_once_and_keep_within_their_room(lanes, rows, longest, room):
    seen = torch.zeros(lanes, rows)
    for part, some in passes(lanes, rows, longest, room):
        piece = seen[part, some]
        piece += 1
        assert piece.numel() * longest <= max(room, longest)
    assert (seen == 1).all()


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 400))
def test_spans_cover_every_row_once_and_keep_within_their_room(lengths, room):
    falling = torch.tensor(sorted(lengths, reverse=True)).numpy()
    cuts = list(spans(falling, room))
    assert [row for start, end in cuts for row in range(start, end)] == list(range(len(falling)))
    assert all((end - start) * falling[start] <= max(room, falling[start]) for start, end in cuts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", [lambda backbone: lora(backbone, 0), everything])
def test_weights_come_back_bit_by_bit(kind, family, dtype):
    backbone = tiny(family, dtype=dtype)
    before = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    lanes, words = toy_lanes(backbone, ((0, 0.01),))
    with kind(backbone) as weights:
        assert all(weight.dtype == torch.float32 for weight in weights.parameters(0))
        (course,) = tune(weights, lanes, steps(), words, tokens_at_once=300)
        assert course.course.history[-1].loss < course.course.first.loss
    after = backbone.model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(weight.requires_grad for weight in backbone.model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_lora_adapter_has_gradients_everywhere_and_loads_into_the_plain_model(family, tmp_path):
    from peft import PeftModel

    backbone = tiny(family)
    batch = tiny_batch()
    with lora(backbone, 0) as weights:
        for weight in weights.parameters(0):
            torch.nn.init.normal_(weight, std=0.3)
        scores = weights.score([0], batch)
        cross_entropy(scores, batch.labels).backward()
        for name, weight in backbone.model.named_parameters():
            assert not weight.requires_grad or weight.grad.abs().sum() > 0, name
        assert weights.save(0, tmp_path, "base/model", {})
    assert "base/model" in (tmp_path / "adapter_config.json").read_text()
    plain = PeftModel.from_pretrained(tiny_model(family), str(tmp_path))
    merged = as_backbone(plain.merge_and_unload(), tiny_tokenizer())
    assert torch.allclose(merged.score(None, batch), scores, atol=1e-3)
