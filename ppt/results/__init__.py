"""Rows of few-shot results: kept, read, selected by validation, and shown.

In come finished trials; out go results.jsonl, tables, plots, predictions and one HTML page.
Knows nothing of models: a folder of results can be read and reported anywhere.
Read `run` first, then `lines`, `store`, `report`.
"""
