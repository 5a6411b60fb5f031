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
