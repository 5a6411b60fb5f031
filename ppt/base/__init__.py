"""What every wing needs and none owns: files, flags, signals, text, random streams.

In come paths, command lines and texts; out go files that appear whole, checked settings,
keys and draws that are equal on every machine. Knows nothing of prompts or corpora.
Read `files` first, then `flags`.
"""
