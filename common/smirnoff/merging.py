"""Several force field files as one, in order, as ``ForceField("a.offxml", "b.offxml")`` of the OpenFF toolkit.

Sections of the same name become one: the parameters of later files follow those of earlier ones, so that of those that
match a molecule the last one counts, whichever file it is from. What holds for a whole section must be the same in all.
"""

import collections.abc
import xml.etree.ElementTree

import defusedxml.ElementTree

from common.smirnoff.offxml import ForceFieldError, ForceFieldFile, Section, parse_force_field
from common.smirnoff.values import SETTINGS

_FREE = ("version", *(attribute for settings in SETTINGS.values() for attribute, *_ in settings.values()))
"""Attributes of sections that may differ as text: numbers are compared as numbers."""

TOLERANCE = 1e-5
"""Settings that differ by less are the same: 0.833333 and 5/6 of the 1-4 interactions, for example."""

_DEFAULTS = {"default_idivf": "auto"}


def merge_force_fields(files: collections.abc.Sequence[ForceFieldFile]) -> ForceFieldFile:
    """One force field file of several; a single one stays as it is.

    A pattern that occurs in two files is kept where it occurs last: it would cover the earlier one in any molecule.

    Raises:
        ForceFieldError: a section asks for different things in two files, or two rules for charges exclude each other.
    """
    if len(files) == 1:
        return files[0]
    root = defusedxml.ElementTree.fromstring(files[0].text.encode())
    known = dict(files[0].sections)
    for file in files[1:]:
        for element in defusedxml.ElementTree.fromstring(file.text.encode()):
            if element.tag not in file.sections:  # author, date, and what does nothing
                continue
            section = file.sections[element.tag]
            if element.tag in known:
                _check_alike(known[element.tag], section, file.name)
                _append(_find(root, element.tag), element)
            else:
                root.append(element)
                known[element.tag] = section
    name = "+".join(file.name.removesuffix(".offxml") for file in files) + ".offxml"
    xml.etree.ElementTree.indent(root)
    text = xml.etree.ElementTree.tostring(root, encoding="unicode", xml_declaration=False)
    return parse_force_field(f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n', name)


def _find(root: xml.etree.ElementTree.Element, tag: str) -> xml.etree.ElementTree.Element:
    found = root.find(tag)
    assert found is not None
    return found


def _append(section: xml.etree.ElementTree.Element, later: xml.etree.ElementTree.Element) -> None:
    """Appends parameters; those of the same SMIRKS that stand there go."""
    smirks = {parameter.get("smirks") for parameter in later}
    for parameter in list(section):
        if parameter.get("smirks") in smirks:
            section.remove(parameter)
    section.extend(later)


def _check_alike(first: Section, second: Section, name: str) -> None:
    for setting, value in first.settings.items():
        if abs(second.settings[setting] - value) > TOLERANCE:
            raise ForceFieldError(
                f"{name}: {first.name}, {setting} is {second.settings[setting]:g}, in the files before it {value:g}; "
                "they cannot be used together"
            )
    both = {*first.attributes, *_DEFAULTS} & {*second.attributes, *_DEFAULTS}
    for attribute in sorted(both - set(_FREE)):
        values = [one.attributes.get(attribute, _DEFAULTS.get(attribute)) for one in (first, second)]
        if values[0] != values[1]:
            raise ForceFieldError(
                f"{name}: {first.name}, {attribute} is {values[1]!r}, in the files before it {values[0]!r}; they "
                "cannot be used together"
            )
