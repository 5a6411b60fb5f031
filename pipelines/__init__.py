"""Apache Beam pipelines that turn raw documents into self-supervised corpora."""
