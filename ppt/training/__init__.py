"""One loop for all training: what a step computes, what is trained, where it stands.

In come a backbone, rows as tokens and settings; out go the best step's prompt or weights,
scores, logs, and states from which a killed run ends in the same bits.
Read `loop` first, then `objective`, `trainables`, `keeper`; `settings` has the flags. Raw
documents are `windows` for the objective in `language`.
"""
