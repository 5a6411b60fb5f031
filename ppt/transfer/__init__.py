"""Prompts that were made before, as starts for others.

In come folders of prompts with their cards; out goes the one that suits a task, a method
and a backbone, or an error that says what to make.
Read `library`.
"""
