"""Labelled data: what a task is, where its rows come from, and seeded draws; raw documents.

In come names, YAML files, CSV, JSON lines, Parquet or the hub; out go checked examples,
rejects with reasons, and few-shot splits that share no text.
Read `spec` first, then `loading`; `finding` is the way in, `table` has the public tasks;
`documents` reads raw text.
"""
