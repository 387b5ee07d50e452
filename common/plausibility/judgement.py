"""What doubts about single entries mean for their source: a stop, or a line."""

import collections.abc
import dataclasses
import typing

from common.plausibility.doubts import HARMLESS, KINDS

Policy = typing.Literal["refuse", "warn"]
"""What a stage does where much of a source is in doubt."""

MAX_SHARE = 0.05
"""Of a source's entries with one doubt above which it is no accident."""

Doubts = collections.abc.Mapping[str, collections.abc.Mapping[str, str]]
"""What was seen, by the name of the entry and the kind of the doubt."""


@dataclasses.dataclass(frozen=True)
class Suspicion:
    """One kind of doubt in a source.

    Attributes:
        kind: one of ``KINDS``.
        names: of the entries.
        seen: at the first of them.
        n_entries: of the source.
    """

    kind: str
    names: tuple[str, ...]
    seen: str
    n_entries: int

    @property
    def is_grave(self) -> bool:
        """Whether it is too frequent for an accident, and not harmless."""
        return self.kind not in HARMLESS and len(self.names) > MAX_SHARE * self.n_entries

    def __str__(self) -> str:
        return f"{len(self.names)} of {self.n_entries} entries: {KINDS[self.kind]} ({self.names[0]}: {self.seen})"


def list_suspicions(doubts: Doubts, n_entries: int) -> list[Suspicion]:
    """The kinds of doubt in a source, the most frequent first."""
    names: dict[str, list[str]] = {}
    for name, found in doubts.items():
        for kind in found:
            names.setdefault(kind, []).append(name)
    return [
        Suspicion(kind, tuple(names[kind]), doubts[names[kind][0]][kind], n_entries)
        for kind in sorted(names, key=lambda kind: (-len(names[kind]), kind))
    ]


def judge(doubts: collections.abc.Mapping[str, tuple[Doubts, int]], policy: Policy) -> list[str]:
    """The lines that a stage prints about the doubts of its sources.

    Args:
        doubts: of each source, with its number of entries.
        policy: "refuse" ends the stage where a doubt is grave, "warn" says so and goes on.

    Raises:
        ValueError: a doubt is grave, and the policy is to refuse.
    """
    lines = []
    for source, (found, n_entries) in doubts.items():
        for suspicion in list_suspicions(found, n_entries):
            if suspicion.is_grave and policy == "refuse":
                raise ValueError(
                    f"{source}: {suspicion}. Nothing was written; mend the data or name their units and sign, or give "
                    "--doubts warn if they are right as they are"
                )
            lines.append(f"{'WARNING: ' if suspicion.is_grave else '  doubt: '}{source}: {suspicion}")
    return lines
