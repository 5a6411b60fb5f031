"""Plots of results: what is drawn is what was measured, and can be read."""

import io
import itertools
import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.image import imread

from ppt.results.figures import MOST, plots_of, points_per_line, save_plots
from ppt.results.plots import box_plots, confusion_tables, sample_curves, thinned, training_curves
from ppt.results.rows import result_rows
from ppt.results.run import read_run
from ppt.results.selection import at_shots, methods_of, selected
from ppt.results.style import COLOURS, FAINT, INK, columns_for, looks, plain
from ppt.results.svg import inline_svg
from tests.synthetic import METHODS, TASKS, synthetic_grid, synthetic_run

STRANGE = ("<b>&amp;", "$x_1^", "a\x00b\x1bc", "فيلم 🎬", "_hidden", "x" * 90, "\ud800")


def grid(**kwargs):
    return selected(read_run(one, "here") for one in synthetic_grid(**kwargs))


@pytest.fixture(scope="module")
def large():
    """8 tasks x 10 methods."""
    return grid(tasks=tuple(TASKS), shots=(32, 64, 128, 256))


@pytest.fixture(scope="module")
def plots(large):
    """The first plots of each kind of a large grid, drawn."""
    found = plots_of(large, result_rows(large, baseline="prompt_tuning"))
    kinds = {plot.kind: [one for one in found if one.kind == plot.kind][:2] for plot in found}
    return {kind: [plot.draw() for plot in ones] for kind, ones in kinds.items()}


def named(runs, task):
    return [run for run in runs if run.task == task]


def figures(runs):
    rows = result_rows(runs, baseline="prompt_tuning")
    return {plot.name: plot.draw() for plot in plots_of(runs, rows)}


def dots(axes, colour):
    """The data of all dots of a colour."""
    lines = [o for o in axes.lines if o.get_marker() == "o" and to_hex(o.get_color()) == colour]
    return [tuple(point) for line in lines for point in line.get_xydata()]


# --- what is drawn ---------------------------------------------------------------------


def test_box_plots_have_a_dot_for_each_seed(large):
    runs = at_shots(large, 32)
    shown = looks(METHODS)
    figure = box_plots(runs, "accuracy", shown, "32 shots")
    assert [axes.get_title() for axes in figure.axes] == list(TASKS)
    for task, axes in zip(TASKS, figure.axes, strict=True):
        drawn = [point for colour in set(COLOURS) for point in dots(axes, colour)]
        left, right = axes.get_xlim()
        space = 0.04 * (right - left)  # no dot is cut by the panel's edge
        assert all(left + space < x < right - space for x, _ in drawn)
        for y, method in enumerate(METHODS):
            values = [100 * run.test.accuracy for run in named(runs, task) if run.method == method]
            assert sorted(x for x, at in drawn if at == y) == pytest.approx(sorted(values))
            box = next(p for p in axes.patches if p.get_y() == pytest.approx(y - 0.28))
            ends = box.get_x(), box.get_x() + box.get_width()
            assert ends == pytest.approx(tuple(np.quantile(values, (0.25, 0.75))))
            assert to_hex(box.get_facecolor()) == shown[method].colour
        assert axes.lines[-1].get_xdata()[0] == pytest.approx(100 * named(runs, task)[0].chance)


def test_a_method_without_runs_of_a_task_has_an_empty_place():
    runs = [
        *grid(tasks=("sst2",), methods=("ppt", "lora")),
        *grid(tasks=("cb",), methods=("lora",)),
    ]
    second = box_plots(runs, "macro_f1", looks(("ppt", "lora")), "32 shots").axes[1]
    assert not dots(second, COLOURS[0])
    assert len(dots(second, COLOURS[1])) == 5


def test_sample_curves_go_through_the_means(large):
    rows = result_rows(large, baseline="prompt_tuning")
    figure = sample_curves(rows, {run.task: run.chance for run in large}, looks(METHODS))
    assert [axes.get_title() for axes in figure.axes] == [*TASKS, "all tasks"]
    for task, axes in zip([*TASKS, None], figure.axes, strict=True):
        for line, method in zip(axes.lines, METHODS, strict=False):
            means = [
                100 * row.scores["accuracy"].mean
                for row in rows if (row.task, row.method) == (task, method)
            ]  # fmt: skip
            assert list(line.get_ydata()) == pytest.approx(means)
            assert list(line.get_xdata()) == pytest.approx([32, 64, 128, 256], rel=0.1)
        bars = np.array(axes.collections[-1].get_segments())
        last = next(r for r in rows if (r.task, r.shots, r.method) == (task, 256, METHODS[-1]))
        assert bars[-1][:, 1] == pytest.approx([100 * last.scores["accuracy"].low,
                                                100 * last.scores["accuracy"].high])  # fmt: skip
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(METHODS)


def test_training_curves_have_a_line_for_each_seed_and_mark_the_step_kept():
    runs = grid(tasks=("sst2",), methods=("zero_shot", "ppt", "lora"), seeds=3)
    figure = training_curves(runs, looks(methods_of(runs)), "sst2")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "ppt: loss", "accuracy (%)", "lora: loss", "accuracy (%)",
    ]  # fmt: skip
    for method, axes in zip(("ppt", "lora"), figure.axes[::2], strict=True):
        own = [run for run in runs if run.method == method]
        curves = [line for line in axes.lines if line.get_linestyle() == "-"]
        assert [list(line.get_ydata()) for line in curves] == [
            [point["loss"] for point in run.curve] for run in own
        ]
        assert sum(line.get_linestyle() == ":" for line in axes.lines) == 3
        kept = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
        assert kept == [run.best_step for run in own]


def test_a_run_that_diverged_is_drawn_as_far_as_it_goes():
    values = synthetic_run("sst2", "ppt", 32, 0, 1e-3)
    values["curve"][3]["loss"] = float("nan")
    values["train_curve"][5]["loss"] = float("inf")
    figure = training_curves([read_run(values, "here")], looks(["ppt"]), "sst2")
    inline_svg(figure, "x", {})
    assert all(np.isfinite(axes.get_ylim()).all() for axes in figure.axes)


def test_confusion_tables_say_shares_of_true_labels():
    runs = grid(tasks=("cb",), methods=("zero_shot", "ppt"), seeds=3)
    figure = confusion_tables(runs, "cb, 32 shots")
    for method, axes in zip(("zero_shot", "ppt"), figure.axes, strict=True):
        counts = sum(np.array(run.confusion) for run in runs if run.method == method)
        shares = 100 * counts / counts.sum(1, keepdims=True)
        assert [text.get_text() for text in axes.texts] == [f"{x:.0f}" for x in shares.ravel()]
        alphas = axes.collections[0].get_facecolor()[:, 3]
        assert 100 * alphas == pytest.approx(shares.ravel())
        assert axes.yaxis_inverted()


def test_many_labels_are_colours_without_numbers():
    values = synthetic_run("topics", "ppt", 32, 0, 1e-3, labels=[f"topic {i}" for i in range(14)])
    (axes,) = confusion_tables([read_run(values, "here")], "topics").axes
    assert not axes.texts
    assert len(axes.collections[0].get_facecolor()) == 14 * 14


@given(st.integers(1, 300), st.integers(2, 80))
def test_thinned_curves_keep_their_ends(length, points):
    curve = [{"step": i, "loss": 0.0} for i in range(length)]
    steps = [point["step"] for point in thinned(curve, points)]
    assert len(steps) == min(length, points) == len(set(steps))
    assert (steps[0], steps[-1]) == (0, length - 1)
    gaps = {b - a for a, b in itertools.pairwise(steps)}
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_the_more_curves_the_fewer_points():
    few = grid(tasks=("sst2",), seeds=1)
    assert points_per_line(few) == MOST
    many = few * 400
    assert points_per_line(many) * 3 * sum(bool(run.curve) for run in many) <= 2 * 80_000


# --- whether it can be read ------------------------------------------------------------


def texts_of(figure):
    """(text, its box in pixels) of every text that is shown."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    unseen = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for place, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
        if not min(axis.get_view_interval()) <= place <= max(axis.get_view_interval())
    }
    return [
        (artist.get_text(), artist.get_window_extent(renderer))
        for artist in figure.findobj(mpl.text.Text)
        if artist.get_visible() and artist.get_text().strip() and id(artist) not in unseen
    ]


def assert_readable(figure):
    """All texts lie inside the figure, and none lies over another."""
    width, height = figure.bbox.size
    shown = texts_of(figure)
    for text, box in shown:
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y1 <= height + 1, text
    for (one, a), (two, b) in itertools.combinations(shown, 2):
        over = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(over) <= 1, (one, two)


def test_a_table_of_many_labels_is_an_image_and_small():
    """Cell by cell, 150 labels took 4 MB a panel."""
    count = 150
    table = np.zeros((count, count), int)
    table[0, count - 1], table[count - 1, 3] = 9, 1
    values = synthetic_run("a", "ppt", 32, 0, 1e-3)
    values |= {"labels": [f"l{i}" for i in range(count)], "confusion": table.tolist()}
    values["test"] = {**values["test"], "rows": 10, "accuracy": 0.0}
    figure = confusion_tables([read_run(values, "here")], "many")
    (ax,) = figure.axes
    (image,) = ax.images
    assert image.get_array()[..., 3].tolist() == (table > 0).tolist()
    assert (ax.yaxis_inverted(), image.origin) == (True, "lower")
    assert len(ax.get_xticklabels()) == len(ax.get_yticklabels()) == 22
    svg = inline_svg(figure, "many", {})
    assert len(svg) < 20_000
    width = float(re.search(r'<image [^>]*transform="matrix\(([\d.]+) ', svg)[1]) * count
    box = ax.get_position().width * figure.get_figwidth() * 72
    assert width == pytest.approx(box, abs=0.05)


@pytest.mark.parametrize("kind", ["boxes", "samples", "training", "confusion"])
def test_plots_of_10_methods_and_8_tasks_are_readable(plots, kind):
    for figure in plots[kind][:3]:
        assert_readable(figure)


def test_the_smallest_plots_are_readable_too():
    for figure in figures(
        grid(tasks=("sst2",), methods=("ppt",), shots=(32, 64), seeds=1)
    ).values():
        assert_readable(figure)


def test_plots_fit_the_page(plots):
    sizes = [one.get_size_inches() for figures in plots.values() for one in figures]
    assert max(width for width, _ in sizes) <= 12.6
    assert max(height for _, height in sizes) <= 12


MACHADO = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
    "none": np.eye(3),
}  # fmt: skip
"""Colour blindness in linear RGB (Machado, Oliveira and Fernandes 2009, severity 1)."""


@pytest.mark.parametrize("kind", MACHADO)
def test_neighbouring_colours_differ_for_everyone(kind):
    def seen(colour):
        return np.clip(np.array(MACHADO[kind]) @ np.array(to_rgb(colour)) ** 2.2, 0, 1) ** (1 / 2.2)

    for one, two in itertools.pairwise([*COLOURS, COLOURS[0]]):
        assert np.linalg.norm(seen(one) - seen(two)) > 0.2, (one, two)


def test_no_two_of_many_methods_look_the_same():
    shown = looks(str(i) for i in range(40))
    assert len({(one.colour, one.mark, str(one.dash)) for one in shown.values()}) == 40


@given(st.integers(1, 60), st.integers(1, 9))
def test_columns_fill_their_lines(count, most):
    columns = columns_for(count, most)
    assert 1 <= columns <= most
    lines = -(-count // columns)
    assert lines == -(-count // most)
    assert lines * columns - count < lines or columns == 1


# --- files and SVG ---------------------------------------------------------------------


def test_plots_are_saved_and_are_not_empty(drawn, tmp_path):
    runs = grid(tasks=("sst2", "a/b"), methods=("ppt", "lora"), shots=(32, 64), seeds=2)
    plots = plots_of(runs, result_rows(runs))
    paths = save_plots(tmp_path / "plots", plots)
    assert sorted(path.name for path in paths) == sorted(
        ["samples.png"]
        + [f"boxes-{k}.png" for k in (32, 64)]
        + [f"{kind}-{task}-{k}.png" for kind in ("training", "confusion")
           for task in ("sst2", "a%2Fb") for k in (32, 64)]
    )  # fmt: skip
    for path in paths:
        pixels = imread(path)[..., :3]
        assert np.allclose(pixels[0, 0], 1), path  # white paper
        assert (np.ptp(pixels, axis=-1) > 0.4).mean() > 0.0005, path  # colours


def test_sample_curves_need_two_numbers_of_shots_and_training_curves_a_training():
    runs = grid(tasks=("sst2",), methods=("zero_shot", "in_context"))
    assert [plot.kind for plot in plots_of(runs, result_rows(runs))] == ["boxes", "confusion"]


def strange_runs():
    return [
        read_run(synthetic_run(name, name, shots, seed, 1e-3, labels=[name, "y"]), "here")
        for name in STRANGE for shots in (32, 64) for seed in (0, 1)
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Glyph .* missing")
def test_strange_names_are_drawn_as_text():
    drawn = figures(strange_runs())
    for name, figure in drawn.items():
        svg = inline_svg(figure, name, {})
        root = ElementTree.fromstring(svg)
        assert {element.tag for element in root.iter()} <= {
            "svg", "g", "defs", "path", "use", "text", "tspan", "clipPath", "rect",
        }  # fmt: skip
    shown = {text for text, _ in texts_of(drawn["boxes-32"])}
    assert {"<b>&amp;", "$x_1^", "a�b�c", "فيلم 🎬", "_hidden", "�"} <= shown
    assert f"{'x' * 25}…" in shown


def test_svg_stands_alone_on_a_page():
    runs = grid(tasks=("sst2", "cb"), methods=("ppt", "lora"), shots=(32, 64), seeds=2)
    drawn = {name: inline_svg(figure, name, {INK: "var(--ink)", FAINT: "var(--faint)"})
             for name, figure in figures(runs).items()}  # fmt: skip
    ids = [one for svg in drawn.values() for one in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(ids) == len(set(ids)) > 20
    for svg in drawn.values():
        own = set(re.findall(r'\bid="([^"]+)"', svg))
        used = set(re.findall(r'href="([^"]+)"', svg)) | set(re.findall(r"url\(([^)]+)\)", svg))
        assert used
        assert {name.lstrip("#") for name in used} <= own
        assert not {INK, FAINT} & set(re.findall(r"#[0-9a-f]{6}", svg))
        assert "var(--ink)" in svg
        assert "http" not in svg
        assert "font-family" not in svg
    again = {name: inline_svg(figure, name, {INK: "var(--ink)", FAINT: "var(--faint)"})
             for name, figure in figures(runs).items()}  # fmt: skip
    assert again == drawn


def test_the_svg_draws_what_the_figure_does():
    """Shortening moves nothing: every coordinate is that of matplotlib's own SVG, rounded."""
    runs = grid(tasks=("sst2",), methods=("ppt",), seeds=2)
    figure = box_plots(runs, "accuracy", looks(["ppt"]), "32 shots")
    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "x"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    full = ElementTree.fromstring(text.getvalue())
    short = ElementTree.fromstring(inline_svg(figure, "x", {}))

    def places(root, tag):
        found = (e for e in root.iter() if e.tag.rpartition("}")[2] == tag)
        return [(float(e.attrib["x"]), float(e.attrib["y"])) for e in found if "x" in e.attrib]

    for tag in ("use", "text", "rect"):
        assert np.allclose(places(short, tag), places(full, tag), atol=0.051)
        assert places(full, tag)


def test_drawing_leaves_the_users_settings_alone():
    with mpl.rc_context({"font.size": 33, "axes.facecolor": "red"}):
        runs = grid(tasks=("sst2",), methods=("ppt",), seeds=2)
        figure = box_plots(runs, "accuracy", looks(["ppt"]), "32 shots")
        assert mpl.rcParams["font.size"] == 33
        assert figure.axes[0].get_facecolor() != (1, 0, 0, 1)


def test_plain_text_is_one_short_line():
    assert plain("a\nb\tc") == "a�b�c"
    assert plain("x" * 26) == "x" * 26
    assert plain("x" * 27) == "x" * 25 + "…"
