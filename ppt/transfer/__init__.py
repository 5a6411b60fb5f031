"""Prompts that were made before, as starts for others, compared, and as teachers.

In come folders of prompts with their cards; out goes the one that suits a task, a method
and a backbone, or an error that says what to make; or all of them as sources, ranked by how near
their tasks are. ``python -m ppt.transfer`` tells what is near and what gained.
Read `library`, then `sources`.
"""
