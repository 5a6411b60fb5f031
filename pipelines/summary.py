"""What a finished build tells on the terminal."""

from collections.abc import Iterator, Sequence
from functools import partial

from rich.table import Table

from pipelines.local import Totals
from pipelines.sinks import EXCLUDED, REJECTS
from ppt.base.terminal import plain_console
from ppt.corpus.card import mixture_told, shortcuts_told
from ppt.corpus.manifest import Manifest
from ppt.errors import visible


def show(
    manifests: dict[str, Manifest],
    folder: str,
    seconds: float,
    work: Totals | None,
    others: Sequence[str],
) -> None:
    """Print the table and the ledgers, and what the corpora lack. `others` are older corpora
    there whose ledgers were others.
    """
    console = plain_console()
    any_manifest = next(iter(manifests.values()))
    documents = any_manifest.documents
    shown_folder = visible(folder)
    table = Table(title=f"Corpora in {shown_folder}")
    for column in ("format", "train", "validation", "dropped anchors", "MB"):
        table.add_column(column, justify="left" if column == "format" else "right")
    for name, manifest in manifests.items():
        size = sum(shard.bytes for shards in manifest.shards.values() for shard in shards)
        counts = (*manifest.rows.values(), sum(manifest.examples["drops"].values()))
        table.add_row(name, *(f"{count:,}" for count in counts), f"{size / 1e6:.1f}")
    console.print(table)
    tell = partial(console.print, soft_wrap=True, highlight=False)
    for line in _ledgers(any_manifest, shown_folder):
        tell(line)
    if others:
        tell(
            f"  note: {REJECTS}/ and {EXCLUDED}/ tell of this build alone; "
            f"{visible(', '.join(others))} was made of other files or with other flags: another "
            "--output would keep both"
        )
    for name, manifest in manifests.items():
        for kind, of in manifest.shortcuts.items():
            tell(f"  {name}, {kind}: {shortcuts_told(of)}")
        if manifest.mixture:
            tell(f"  {name}, mixture {mixture_told(manifest.mixture)}")
        for warning in manifest.warnings:
            tell(f"  warning, {name}: {visible(warning)}")
    megabytes = documents["characters"] / 1e6
    rate = ""
    if work is not None and work.ended > work.started:
        rate = f", {megabytes / (work.ended - work.started):.2f} M/s while the workers worked"
    tell(f"{megabytes:.1f} M characters in {seconds:.1f} s{rate}.")
    tell(f"Look inside: python -m ppt.inspect {shown_folder}/{next(iter(manifests))} -n 5")


def _ledgers(manifest: Manifest, folder: str) -> Iterator[str]:
    """What became of documents and sentences."""
    documents, sentences = manifest.documents, manifest.sentences
    rejected = sum(documents["rejected"].values())
    yield (
        f"Documents: {documents['read']:,} read = {documents['kept']:,} kept + {rejected:,} "
        f"rejected + {documents['duplicates']:,} duplicates. "
        f"Sentences: {sentences['usable']:,} usable of {sentences['read']:,}."
    )
    if near := manifest.near_duplicates:
        yield (
            f"Near duplicates: {near['documents']:,} documents in {near['clusters']:,} clusters, "
            f"the largest of {near['largest']:,}; {near['moved']:,} stand in another split for it."
        )
    for place, source in enumerate(manifest.config["excluded"]):
        name, left_out = source["name"], sentences["shared_with"]
        unread = f", {source['unreadable']:,} rows cannot be read" * bool(source["unreadable"])
        yield (
            f"  excluded, {visible(name)}: {left_out.get(name, 0):,} sentences share words with "
            f"one of {source['texts']:,} texts{', and with none above' * (place > 0)}{unread} "
            f"(see {folder}/{EXCLUDED})"
        )
    for reason, count in documents["rejected"].items():
        yield f"  rejected, {reason}: {count:,} (see {folder}/{REJECTS})"
    if documents["sharing_an_id"]:
        yield (
            f"  note: {documents['sharing_an_id']:,} documents share their id with another one "
            "of other text; both were kept"
        )
