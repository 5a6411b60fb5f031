"""The studies of Lester et al. as commands: tables, plots, and the line between two prompts."""

import csv

import pytest
from matplotlib.image import imread

from benchmarks import lester
from ppt.results.report import read_results
from tests.few import toy_place


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return toy_place(tmp_path_factory.mktemp("place"))


def table(folder):
    return list(csv.DictReader((folder / "table.csv").open()))


def run(place, output, study, *more, seeds=2):
    return lester.main(
        [study, f"--output_dir={output}", f"--task_file={place / 'toy.yaml'}",
         f"--model={place / 'llama'}", f"--seeds={seeds}", "--shots=6", "--max_steps=2",
         "--eval_steps=2", "--max_length=40", "--threads=1", "--device=cpu", *more]
    )  # fmt: skip


def test_lengths_stand_in_a_table_and_a_plot(place, tmp_path, capsys, monkeypatch):
    some = {n: (f"--prompt_length={n}",) for n in ("1", "5")}
    monkeypatch.setitem(lester.STUDIES, "length", lester.Study("tokens", variants=some))
    assert run(place, tmp_path, "length") == 0
    rows = table(tmp_path / "length")
    assert [row["place"] for row in rows] == ["1", "5"]
    assert [row["n"] for row in rows] == ["2", "2"]
    found = read_results(tmp_path / "length" / "5").selected()
    assert float(rows[1]["mean"]) == pytest.approx(sum(one.test.accuracy for one in found) / 2)
    assert f"| toy | 5 | {100 * float(rows[1]['mean']):.1f} ±" in capsys.readouterr().out
    assert imread(tmp_path / "length" / "plot.png").std() > 0.01


def test_the_line_between_two_prompts_ends_at_both(place, tmp_path):
    assert run(place, tmp_path, "interpolation") == 0
    rows = table(tmp_path / "interpolation")
    assert [float(row["place"]) for row in rows] == list(lester.SHARES)
    first, second = read_results(tmp_path / "interpolation" / "runs").selected()
    assert float(rows[0]["mean"]) == first.test.accuracy
    assert float(rows[-1]["mean"]) == second.test.accuracy


def test_what_is_no_model_is_told(place, tmp_path):
    with pytest.raises(SystemExit, match="--models: expected steps=model"):
        run(place, tmp_path, "adaptation", "--models=smollm2-135m")
    with pytest.raises(SystemExit, match="--models: got steps twice"):
        run(place, tmp_path, "adaptation", "--models=0=a,0=b")


def test_other_numbers_of_shots_are_no_other_seeds(place, tmp_path, monkeypatch):
    """Nor are runs of a command before, in the same folder."""
    monkeypatch.setattr(lester, "SHARES", (0.0, 1.0))
    for shots in (4, 6):
        assert run(place, tmp_path, "interpolation", f"--shots={shots}") == 0
        found = read_results(tmp_path / "interpolation" / "runs").selected()
        own = [one.test.accuracy for one in found if one.shots == shots]
        rows = table(tmp_path / "interpolation")
        assert [(row["task"], float(row["mean"])) for row in rows] == [("toy", one) for one in own]
    assert set(lester.titles(found).values()) == {"toy, 4 shots", "toy, 6 shots"}


def test_a_line_has_two_ends(place, tmp_path):
    with pytest.raises(SystemExit, match="--seeds: got one seed"):
        run(place, tmp_path, "interpolation", seeds=1)
