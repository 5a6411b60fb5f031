"""The few-shot protocol: tasks x methods x shots x seeds x rates, run and kept.

In come tasks, a backbone and prompts; out go results, a row a trial, and adapters.
`python -m ppt.fewshot` is its command.
Read `grid` first, then `banks`, which follows a bank of trials from draw to disk.
"""
