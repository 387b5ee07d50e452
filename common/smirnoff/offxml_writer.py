"""Writes fitted values back into the force field file they came from, and leaves everything else as it was.

The text is edited, not made anew: comments, order, ids, cosmetic attributes and white space stay. Changed values are
written in the units used inside, with all digits, so that reading them again gives the same bits.
"""

import collections.abc
import datetime
import hashlib
import math
import os
import re
import typing
import xml.parsers.expat

import numpy

from common.files.atomic import replace_atomically
from common.forcefields.tensors import TensorForceField, TensorPotential
from common.smirnoff.assignment import build_potentials
from common.smirnoff.offxml import ELEMENTS, parse_force_field

_UNIT_TEXTS = {
    "kilocalorie / mole / angstrom ** 2": "angstrom**-2 * mole**-1 * kilocalorie",
    "kilocalorie / mole / radian ** 2": "mole**-1 * radian**-2 * kilocalorie",
    "kilocalorie / mole": "mole**-1 * kilocalorie",
    "angstrom": "angstrom",
    "radian": "radian",
    "elementary_charge": "elementary_charge",
}
"""Units spelled as the OpenFF force fields spell them."""

_FIXED_COLUMNS = ("periodicity", "idivf")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=<>/"']+)\s*=\s*("[^"]*"|'[^']*')""")


class _Change(typing.NamedTuple):
    """One value to write: in which parameter of which section, under which name, with its unit."""

    section: str
    parameter: int
    attribute: str
    text: str


def write_offxml(
    text: str, force_field: TensorForceField, path: str | os.PathLike, provenance: collections.abc.Sequence[str] = ()
) -> None:
    """Writes a force field file with fitted values; nothing stands at ``path`` until it is whole.

    Args:
        text: the contents of the force field file that the values came from.
        force_field: the fitted values.
        path: where the file goes.
        provenance: lines for the comment at the top, e.g. the name of the first force field and of the data.

    Raises:
        ValueError: the values do not belong to this file, are not finite, or cannot be written into it.
    """
    contents = format_offxml(text, force_field, provenance)
    with replace_atomically(path) as beside:
        beside.write_bytes(contents.encode("utf-8"))


def format_offxml(text: str, force_field: TensorForceField, provenance: collections.abc.Sequence[str] = ()) -> str:
    """What :func:`write_offxml` writes. Takes the same arguments, but for the path, and raises the same errors."""
    source = parse_force_field(text, "the force field file")
    originals = {potential.type: potential for potential in build_potentials(source)}
    changes: list[_Change] = []
    for potential in force_field.potentials:
        if potential.type not in originals:
            raise ValueError(f"{potential.type}: the force field file has no such section")
        section = "LibraryCharges" if potential.type == "Electrostatics" else potential.type
        parameters = source.sections[section].parameters if section in source.sections else ()
        index = {parameter.smirks: i for i, parameter in enumerate(parameters)}
        changes += _find_changes(potential, originals[potential.type], section, index)
    data = text.encode("utf-8")
    positions = locate_elements(data)
    edits = sorted(
        (_make_edit(data, positions[change.section, change.parameter], change) for change in changes), reverse=True
    )
    comment = _format_comment(text, changes, provenance)
    edits.append((positions["SMIRNOFF", 0], positions["SMIRNOFF", 0], comment.encode("utf-8")))
    for start, end, replacement in edits:
        data = data[:start] + replacement + data[end:]
    return data.decode("utf-8")


def _find_changes(
    potential: TensorPotential, original: TensorPotential, section: str, index: dict[str, int]
) -> collections.abc.Iterator[_Change]:
    """The values that differ in any bit. Charges that a model computed are not in the file and are passed over."""
    rows = {key: row for row, key in enumerate(original.parameter_keys)}
    if potential.parameter_cols != original.parameter_cols:
        raise ValueError(f"{potential.type}: columns {potential.parameter_cols}, expected {original.parameter_cols}")
    settings, original_settings = (
        None if one.attributes is None else one.attributes.tolist() for one in (potential, original)
    )
    if settings not in (None, original_settings):
        raise ValueError(f"{potential.type}: settings of a whole section, such as 1-4 scales, cannot be written back")
    before, after = (p.parameters.detach().double().cpu().numpy() for p in (original, potential))
    for key, values in zip(potential.parameter_keys, after, strict=True):
        if key not in rows:
            if potential.type == "Electrostatics":
                continue
            raise ValueError(f"{potential.type}: the force field file has no SMIRKS {key.id!r}")
        changed = values.view(numpy.int64) != before[rows[key]].view(numpy.int64)
        for column in numpy.flatnonzero(changed):
            name = potential.parameter_cols[column]
            value = float(values[column])
            if name in _FIXED_COLUMNS or not math.isfinite(value):
                raise ValueError(f"{potential.type}, SMIRKS {key.id!r}: {name} = {value!r} cannot be written")
            attribute = name if key.mult is None else f"{name}{key.mult + 1}"
            unit = _UNIT_TEXTS[potential.parameter_units[column]]
            yield _Change(section, index[key.id], attribute, f"{value!r} * {unit}")


def locate_elements(data: bytes) -> dict[tuple[str, int], int]:
    """Where the tags of the root and of all parameters start [bytes]; parameters are counted within their section."""
    positions: dict[tuple[str, int], int] = {}
    path: list[str] = []
    counts: dict[str, int] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        path.append(tag)
        if len(path) == 1:
            positions[tag, 0] = parser.CurrentByteIndex
        elif len(path) == 3 and ELEMENTS.get(path[1]) == tag:
            counts[path[1]] = counts.get(path[1], -1) + 1
            positions[path[1], counts[path[1]]] = parser.CurrentByteIndex

    parser = xml.parsers.expat.ParserCreate("utf-8")  # the text has been read safely before: it declares no entities
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: path.pop()
    parser.Parse(data, True)
    return positions


def _make_edit(data: bytes, position: int, change: _Change) -> tuple[int, int, bytes]:
    """From where to where the text is replaced, and by what.

    A size given as rmin_half becomes a sigma: the conversion between them would not keep every bit.
    """
    names = ("sigma", "rmin_half") if change.attribute == "sigma" else (change.attribute,)
    match = _ATTRIBUTE.search(data, position)
    while match is not None and match[1].decode() not in names:
        match = _ATTRIBUTE.match(data, match.end())
    if match is None:
        raise ValueError(f"the element at byte {position} has no attribute {' or '.join(names)}")
    return match.start(1), match.end(2), f'{change.attribute}="{change.text}"'.encode()


def _format_comment(text: str, changes: list[_Change], provenance: collections.abc.Sequence[str]) -> str:
    counts: dict[str, int] = {}
    for change in changes:
        name = f"{change.section} {change.attribute.rstrip('0123456789')}"
        counts[name] = counts.get(name, 0) + 1
    fitted = ", ".join(f"{name} ({count})" for name, count in counts.items()) or "nothing"
    lines = [
        *provenance,
        f"written: {datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')}",
        f"SHA-256 of the file before: {hashlib.sha256(text.encode()).hexdigest()}",
        f"values changed: {fitted}",
    ]
    body = "".join(f"    {_clean(line)}\n" for entry in lines for line in entry.splitlines())
    return f"<!--\n{body}-->\n"


def _clean(line: str) -> str:
    """The line without what an XML comment must not hold: two hyphens in a row, and control characters."""
    line = "".join(character for character in line if character.isprintable())
    return re.sub(r"-(?=-)", "- ", line)
