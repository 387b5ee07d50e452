"""Names for contents: of plain values, and of files."""

import collections.abc
import hashlib
import json
import os
import typing


def compute_fingerprint(value: typing.Any) -> str:
    """Sixteen hexadecimal digits that name a value made of what JSON can hold; of anything else its ``str`` counts."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def compute_content_hash(paths: collections.abc.Iterable[str | os.PathLike]) -> str:
    """SHA-256 over the contents of files, in order, as hexadecimal digits."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
