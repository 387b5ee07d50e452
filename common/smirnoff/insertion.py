"""Adds parameters to a force field file: a child after its parent, with the parent's values and a SMIRKS of its own.

The last match wins, so that a child that stands right after its parent takes from the parent alone, and leaves to
every later parameter, an older child of the same parent among them, what that had.
"""

import re
import xml.sax.saxutils

from common.smirnoff.offxml import parse_force_field
from common.smirnoff.offxml_writer import locate_elements

_TAG = re.compile(rb"<(\w+)(?:[^>\"']|\"[^\"]*\"|'[^']*')*?(/?)>")
_ATTRIBUTE = rb"(\s%s\s*=\s*)(\"[^\"]*\"|'[^']*')"


def insert_child(text: str, section: str, parent: str, child: str) -> str:
    """The file with one parameter more.

    Args:
        text: of the file.
        section: e.g. "Bonds".
        parent: SMIRKS of the parameter that is copied.
        child: SMIRKS of the copy. Its id is the parent's with a number behind a hyphen.

    Raises:
        ValueError: the section has no such parent, or has the child already.
    """
    parameters = parse_force_field(text, "the force field file").sections[section].parameters
    smirks = [parameter.smirks for parameter in parameters]
    if parent not in smirks:
        raise ValueError(f"{section} has no parameter {parent}")
    if child in smirks:
        raise ValueError(f"{section} has a parameter {child} already")
    ids = {parameter.id for parameter in parameters}
    own = parameters[smirks.index(parent)].id
    id_ = next(f"{own}-{i}" for i in range(1, len(ids) + 2) if f"{own}-{i}" not in ids) if own else ""
    data = text.encode("utf-8")
    start = locate_elements(data)[section, smirks.index(parent)]
    element = find_element(data, start)
    copy = _set_attribute(element, b"smirks", child)
    if id_:
        copy = _set_attribute(copy, b"id", id_)
    line_start = data.rfind(b"\n", 0, start) + 1
    indent = data[line_start:start] if not data[line_start:start].strip() else b""
    end = start + len(element)
    return (data[:end] + b"\n" + indent + copy + data[end:]).decode("utf-8")


def find_element(data: bytes, start: int) -> bytes:
    """The whole element that begins at a position: parameters have no children."""
    tag = _TAG.match(data, start)
    assert tag is not None  # the parser found it there
    if tag[2]:
        return tag[0]
    closing = b"</" + tag[1] + b">"
    return data[start : data.index(closing, tag.end()) + len(closing)]


def _set_attribute(element: bytes, name: bytes, value: str) -> bytes:
    quoted = xml.sax.saxutils.quoteattr(value).encode("utf-8")
    return re.sub(_ATTRIBUTE % name, lambda match: match[1] + quoted, element, count=1)
