"""The study's page: made of the rows that are kept, with differences to twins, and what lacks."""

import json

import pytest

from benchmarks import study
from ppt.results.plots import sample_curves
from tests.synthetic import synthetic_run


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Rows of two methods on sst2, all at 32 shots, as if the study had kept them."""
    monkeypatch.setattr(study, "KEPT", tmp_path)
    monkeypatch.setattr(study, "PLOT", tmp_path / "study.png")
    monkeypatch.setattr(
        study, "SLICES", (study.Slice("sst2", "sst2", ("prompt_tuning", "ppt", "lora"), "32"),)
    )
    made = [
        synthetic_run("sst2", method, 32, seed, 1e-3, skill=skill + seed / 100)
        for method, skill in (("prompt_tuning", 0.4), ("ppt", 0.6))
        for seed in range(5)
    ]
    (tmp_path / "sst2.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in made))
    return made


def test_a_table_has_each_method_with_its_distance_to_its_twin(rows):
    text = study.page()
    assert "**sst2, 32 shots**, 200 test rows" in text
    own, twin = ([row["test"]["accuracy"] for row in rows if row["method"] == name]
                 for name in ("ppt", "prompt_tuning"))  # fmt: skip
    difference = 100 * sum(a - b for a, b in zip(own, twin, strict=True)) / 5
    (line,) = [line for line in text.splitlines() if line.startswith("| **ppt**")]
    cells = [cell.strip() for cell in line.split("|")]
    assert cells[2].startswith(f"{20 * sum(own):.1f} ±")
    assert cells[4] == "5"
    assert cells[5] == f"{difference:+.1f}▲"
    (line,) = [line for line in text.splitlines() if line.startswith("| prompt_tuning")]
    assert [cell.strip() for cell in line.split("|")][5] == ""
    assert f"{sum(row['seconds'] for row in rows) / 3600:.1f} hours" in text


def test_what_is_missing_is_named_and_counted(rows, capsys):
    assert study.main(["--list"]) == 0
    assert "0: sst2, 32 shots, 5 seeds: prompt_tuning, ppt, lora (5 of 15 missing)" in (
        capsys.readouterr().out
    )
    assert "- sst2, 32 shots, 5 seeds: prompt_tuning, ppt, lora (5 of 15 runs)" in study.page()


def test_a_slice_is_a_grid_whose_rows_are_kept(rows, tmp_path, monkeypatch):
    asked = []

    def fewshot(argv):
        asked.append(argv)
        folder = tmp_path / "out" / "sst2"
        folder.mkdir(parents=True)
        row = synthetic_run("sst2", "lora", 32, 0, 1e-3)
        (folder / "results.jsonl").write_text(json.dumps(row) + "\n")
        return 0

    monkeypatch.setattr(study, "fewshot", fewshot)
    monkeypatch.setattr(study, "PAGE", tmp_path / "page.md")
    study.PAGE.write_text(f"before\n{study.BEGIN}\nold\n{study.END}\nafter\n")
    assert study.main(["--output_dir", str(tmp_path / "out"), "--threads=1"]) == 0
    assert asked == [[*study.GRIDS["sst2"], "--tasks=sst2", "--methods=prompt_tuning,ppt,lora",
                      "--shots=32", "--seeds=5", f"--output_dir={tmp_path}/out/sst2",
                      "--prompt=data/prompts", "--threads=1"]]  # fmt: skip
    page = study.PAGE.read_text()
    assert page.startswith("before\n")
    assert page.endswith("\nafter\n")
    assert "| lora |" in page
    assert "| **ppt** |" in page  # kept before
    assert "old" not in page


def test_the_page_is_that_of_the_rows_kept():
    text = study.PAGE.read_text(encoding="utf-8")
    assert text == study.written(text)


def test_curves_are_drawn_of_tasks_with_several_numbers_of_examples(rows, tmp_path, monkeypatch):
    study.draw()
    assert not study.PLOT.exists(), "one number of examples is no curve"
    more = [synthetic_run("sst2", name, 8, 0, 1e-3) for name in ("ppt", "zero_shot", "lora_ppt")]
    more.append(synthetic_run("rte", "ppt", 8, 0, 1e-3))
    with (tmp_path / "sst2.jsonl").open("a") as file:
        file.writelines(f"{json.dumps(row)}\n" for row in more)
    drawn = []

    def seen(rows, chance, looks):
        drawn.append(({row.task for row in rows}, [*dict.fromkeys(row.method for row in rows)]))
        assert looks["ppt"].colour == looks["prompt_tuning"].colour != looks["lora_ppt"].colour
        return sample_curves(rows, chance, looks)

    monkeypatch.setattr(study, "sample_curves", seen)
    study.draw()
    assert drawn == [({"sst2"}, ["prompt_tuning", "ppt", "lora_ppt", "zero_shot"])]
    assert study.PLOT.read_bytes().startswith(b"\x89PNG")


def test_a_failed_slice_ends_the_study_and_no_row_is_lost(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "fewshot", lambda _: 2)
    before = (tmp_path / "sst2.jsonl").read_bytes()
    assert study.main(["--output_dir", str(tmp_path / "out")]) == 2
    assert (tmp_path / "sst2.jsonl").read_bytes() == before


def test_rows_that_were_made_anew_take_the_place_of_the_old(rows, tmp_path, monkeypatch):
    """Of two rows of one cell the better validated would be chosen, whatever flags it had."""
    monkeypatch.setattr(study, "PAGE", tmp_path / "page.md")
    study.PAGE.write_text(f"{study.BEGIN}{study.END}")
    (tmp_path / "anew").mkdir()
    anew = [{**row, "run": f"anew{place}"} for place, row in enumerate(rows[:3])]
    lines = "".join(f"{json.dumps(row)}\n" for row in anew)
    (tmp_path / "anew" / "results.jsonl").write_text(lines)
    study.keep(tmp_path / "anew", "sst2")
    kept = [json.loads(line)["run"] for line in (tmp_path / "sst2.jsonl").open()]
    assert kept == [row["run"] for row in [*anew, *rows[3:]]]


def test_mistakes_are_one_line(rows, tmp_path, monkeypatch, capsys):
    for given in ("99", "-1", "a"):
        assert study.main([f"--slices={given}"]) == 2
        assert f"--slices: got '{given}', expected numbers from 0 to 0" in capsys.readouterr().err
    monkeypatch.setattr(study, "PAGE", tmp_path / "page.md")
    study.PAGE.write_text(f"mine {study.BEGIN} mine\n")
    assert study.main(["--page"]) == 2
    assert study.PAGE.read_text().endswith("mine\n")
