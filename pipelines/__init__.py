"""The only Beam code: raw documents in, corpora out, on a laptop or on a cluster.

In come files by glob; out go `corpora/<format>/` with Parquet shards, manifest and card,
and `corpora/rejects/`: read = kept + rejected + duplicates, always.
`python -m pipelines.build_corpus` is the command; element functions are pure, transforms wrap.
Read `stages` first, then `shards`, `ledger`.
"""
