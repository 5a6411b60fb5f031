"""From the sentences of a shard to the rows of a corpus, and the corpus on disk.

In come sentences of documents; out go tables of examples, Parquet shards, a manifest that
is written last, and its card. Pure columns of indices until the last moment; no Beam.
Read `formats` first, then `pool`, `likeness`, `builders`, `tables`, `storage`.
"""
