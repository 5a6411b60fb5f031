"""A student of words alone learns what labels say, and is asked about rows that people labelled."""

import json

import pytest

from benchmarks import students

GOOD, BAD = "a warm and lovely evening {}", "a cold and dreary evening {}"


def test_words_that_go_with_a_class_are_learned_and_rare_ones_are_not():
    texts = [text.format(i) for i in range(40) for text in (GOOD, BAD)]
    student = students.taught(texts, [4, 0] * 40, epochs=60)
    assert {"warm", "and lovely"} <= set(student.place), "words, and each two that follow"
    assert "7" not in student.place
    scores = student(student.bags(["warm, lovely", "cold and dreary", "nothing known here"]))
    assert scores[0] > 1 > -1 > scores[1]
    assert float(scores[2].detach()) == pytest.approx(float(student.bias.detach()))


def test_the_better_labels_teach_more(tmp_path, capsys, monkeypatch):
    rows = [{"text": GOOD.format(i), "label": 1} for i in range(5)]
    rows += [{"text": BAD.format(i), "label": 0} for i in range(5)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    class Table(dict):
        num_rows = 80

    def corpus(folder, *_):
        texts = [text.format(i) for i in range(40) for text in (GOOD, BAD)]
        labels = {"right": [4, 0], "wrong": [0, 4]}[folder] * 40
        columns = {"text_a": texts, "label": labels}
        table = Table({name: Column(values) for name, values in columns.items()})
        return type("Corpus", (), {"read": lambda *_: table})()

    class Column(list):
        to_pylist = list.copy

    monkeypatch.setattr(students, "open_corpus", corpus)
    assert students.main(["right", "wrong", "--task", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == ["| right | 80 | 1.0000 | 1.000 |", "| wrong | 80 | 0.0000 | 0.000 |"]
