"""A frozen language model behind one call: prompt and batch in, label scores out.

In come a name (embedded, folder, hub id) and batches; out go scores [R, L], exact by a
check at loading, with gradient for the prompt alone.
Read `base` first, then `causal` or `seq2seq`; `loading` finds and checks a model.
"""
