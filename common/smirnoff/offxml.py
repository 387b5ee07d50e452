"""Reads SMIRNOFF force field files (OFFXML) into plain records, and refuses what it cannot honour.

Follows the SMIRNOFF specification, versions 0.3 and 0.4 of its sections
(https://openforcefield.github.io/standards/standards/smirnoff/), and openff-toolkit 0.16 where the specification
leaves a choice. A section or setting that would change a number and is not supported is refused by name.
"""

import dataclasses
import hashlib
import os
import pathlib
import xml.etree.ElementTree

import defusedxml
import defusedxml.ElementTree

from common.forcefields.terms import N_PARTICLES
from common.smirnoff.smirks import Pattern, compile_smirks
from common.smirnoff.values import Reader, read_attributes, read_values

VERSION = "0.3"
"""The version of the file format (that of single sections goes up to 0.5)."""

OLD_VERSIONS = ("0.1", "0.2", "1.0")

AROMATICITY_MODEL = "OEAroModel_MDL"

ELEMENTS = {
    "Constraints": "Constraint",
    "Bonds": "Bond",
    "Angles": "Angle",
    "ProperTorsions": "Proper",
    "ImproperTorsions": "Improper",
    "vdW": "Atom",
    "LibraryCharges": "LibraryCharge",
    "ChargeIncrementModel": "ChargeIncrement",
    "Electrostatics": None,
    "NAGLCharges": None,
    "ToolkitAM1BCC": None,
}
"""The sections that are supported, and the element that holds a parameter in each."""

SECTION_VERSIONS = ("0.3", "0.4", "0.5")
_NO_SECTIONS = ("Author", "Date")

_JOINED_TAGS = {
    "Bonds": ((0, 1),),
    "Angles": ((0, 1), (1, 2)),
    "ProperTorsions": ((0, 1), (1, 2), (2, 3)),
    "ImproperTorsions": ((0, 1), (1, 2), (1, 3)),
}
"""Which tags of a SMIRKS must be bonded to each other."""

_N_TAGS = {"Constraints": 2, **N_PARTICLES, "vdW": 1}


class ForceFieldError(ValueError):
    """A force field file that cannot be read, or asks for something that is not supported."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a section.

    Attributes:
        smirks: its pattern.
        id: its name, "" if it has none.
        values: one row for each term (each tag, for charges), in the columns and units of
            ``common.forcefields.terms.PARAMETER_UNITS``; empty for constraints.
        attributes: all attributes as the file has them, in order.
    """

    smirks: str
    id: str
    values: tuple[tuple[float, ...], ...]
    attributes: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Section:
    """One section of a force field file.

    Attributes:
        name: e.g. "Bonds".
        attributes: all attributes as the file has them.
        settings: the numbers of the whole section, e.g. "scale_14", "cutoff" [Angstrom]; empty for most sections.
        parameters: in the order of the file; of those that match, the last one counts.
    """

    name: str
    attributes: dict[str, str]
    settings: dict[str, float]
    parameters: tuple[Parameter, ...]


@dataclasses.dataclass(frozen=True)
class ForceFieldFile:
    """A force field file as read.

    Attributes:
        name: the file's name.
        sha256: of its contents, hexadecimal.
        text: its contents.
        sections: by name.
    """

    name: str
    sha256: str
    text: str
    sections: dict[str, Section]


def read_force_field(path: str | os.PathLike) -> ForceFieldFile:
    """Reads a force field file.

    Raises:
        FileNotFoundError: there is no such file.
        ForceFieldError: it cannot be read, or asks for something that is not supported; the message says where.
    """
    path = pathlib.Path(path)
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ForceFieldError(f"{path.name}: not UTF-8 text; save the file as UTF-8") from error
    return parse_force_field(text, path.name)


def parse_force_field(text: str, name: str) -> ForceFieldFile:
    """Reads the contents of a force field file.

    Args:
        text: the contents.
        name: what messages call the file.

    Raises:
        ForceFieldError: it cannot be read, or asks for something that is not supported; the message says where.
    """
    root = _parse_xml(text, name)
    _check_root(root, name)
    sections: dict[str, Section] = {}
    for element in root:
        if element.tag in _NO_SECTIONS:
            continue
        if element.tag not in ELEMENTS:
            _check_unknown(element, name)
            continue
        if element.tag in sections:
            raise ForceFieldError(f"{name}: two {element.tag} sections; merge them into one")
        sections[element.tag] = _read_section(element, name)
    return ForceFieldFile(name, hashlib.sha256(text.encode()).hexdigest(), text, sections)


def _parse_xml(text: str, name: str) -> xml.etree.ElementTree.Element:
    try:
        return defusedxml.ElementTree.fromstring(text.encode(), forbid_dtd=True)
    except defusedxml.DefusedXmlException as error:
        raise ForceFieldError(
            f"{name}: refused, it declares a document type or entities, which no force field needs and which can "
            "harm the reader; remove the <!DOCTYPE ...> declaration"
        ) from error
    except (xml.etree.ElementTree.ParseError, LookupError, ValueError) as error:
        raise ForceFieldError(f"{name}: not well-formed XML ({error})") from error


def _check_root(root: xml.etree.ElementTree.Element, name: str) -> None:
    if root.tag != "SMIRNOFF" or root.get("version") != VERSION:
        if root.tag == "SMIRNOFF" and root.get("version") in OLD_VERSIONS:
            raise ForceFieldError(
                f"{name}: SMIRNOFF {root.get('version')}, which means other units and defaults than {VERSION}; "
                "openff-toolkit reads it and writes this one: ForceField(file).to_file(new)"
            )
        raise ForceFieldError(
            f"{name}: <{root.tag} version={root.get('version')!r}>, expected <SMIRNOFF version={VERSION!r}>; "
            "openff-toolkit reads older versions and writes this one"
        )
    if root.get("aromaticity_model") != AROMATICITY_MODEL:
        raise ForceFieldError(
            f"{name}: aromaticity_model={root.get('aromaticity_model')!r} is not supported, only {AROMATICITY_MODEL!r}"
        )


def _check_unknown(element: xml.etree.ElementTree.Element, name: str) -> None:
    """Lets sections pass that do nothing, such as an empty VirtualSites."""
    does_nothing = len(element) == 0 and (element.tag in ("VirtualSites", "GBSA") or set(element.attrib) <= {"version"})
    if not does_nothing:
        raise ForceFieldError(
            f"{name}: section {element.tag} is not supported and would change energies; use a force field without it"
        )


def _read_section(element: xml.etree.ElementTree.Element, name: str) -> Section:
    where = f"{name}: {element.tag}"
    attributes = dict(element.attrib)
    if attributes.get("version") not in SECTION_VERSIONS:
        raise ForceFieldError(
            f"{where}: version {attributes.get('version')!r} is not supported, only {', '.join(SECTION_VERSIONS)}"
        )
    try:
        settings = read_attributes(element.tag, attributes)
    except ValueError as error:
        raise ForceFieldError(f"{where}, {error}") from error
    parameters = []
    for child in element:
        if child.tag != ELEMENTS[element.tag] or len(child):
            raise ForceFieldError(f"{where}: element <{child.tag}> is not known in this section")
        parameters.append(_read_parameter(child, element.tag, attributes, where))
    _check_unique([p.smirks for p in parameters], where)
    return Section(element.tag, attributes, settings, tuple(parameters))


def _check_unique(smirks: list[str], where: str) -> None:
    """Ids may be repeated, they are names for people; a pattern that occurs twice hides the first of its parameters."""
    seen: set[str] = set()
    for one in smirks:
        if one in seen:
            raise ForceFieldError(f"{where}: the SMIRKS {one!r} occurs twice; remove or change one of them")
        seen.add(one)


def _read_parameter(
    element: xml.etree.ElementTree.Element, section: str, section_attributes: dict[str, str], where: str
) -> Parameter:
    attributes = dict(element.attrib)
    id_ = attributes.get("id", "")
    if "smirks" not in attributes:
        raise ForceFieldError(f"{where}: <{element.tag} id={id_!r}> has no SMIRKS")
    smirks = attributes["smirks"]
    where = f"{where}, SMIRKS {smirks!r}" + (f" (id {id_})" if id_ else "")
    try:
        pattern = compile_smirks(smirks)
        _check_tags(pattern, section)
        values = read_values(section, Reader(attributes), section_attributes, pattern.n_tags)
    except ValueError as error:
        raise ForceFieldError(f"{where}: {error}") from error
    return Parameter(smirks, id_, values, attributes)


def _check_tags(pattern: Pattern, section: str) -> None:
    expected = _N_TAGS.get(section)
    if pattern.n_tags == 0 or (expected is not None and pattern.n_tags != expected):
        raise ValueError(f"{pattern.n_tags} tagged atoms, expected {expected or 'at least 1'}")
    for first, second in _JOINED_TAGS.get(section, ()):
        if not pattern.joins(first, second):
            raise ValueError(f"tags {first + 1} and {second + 1} are not joined by a bond")


def read_ids(offxml: str) -> dict[tuple[str, str], str]:
    """The ids of a force field file's parameters by section and SMIRKS; empty where they have none."""
    sections = parse_force_field(offxml, "the force field file").sections if offxml else {}
    return {(name, one.smirks): one.id for name, section in sections.items() for one in section.parameters}
