"""Reports as one HTML file that opens anywhere, without a network and without scripts.

Each system has its own templates; the frame, the style sheet and the filters are here, so that all reports look alike.
"""

import base64
import pathlib
import typing

import jinja2

from common.reporting.numbers import format_interval, format_number, format_percentage

TEMPLATES = pathlib.Path(__file__).parent / "templates"

_MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


class Picture(typing.NamedTuple):
    """A figure as a file: its name with suffix, what it shows in words, and its contents."""

    file_name: str
    description: str
    contents: bytes

    @property
    def uri(self) -> str:
        """The contents as a data URI."""
        media_type = _MEDIA_TYPES[pathlib.PurePath(self.file_name).suffix]
        return f"data:{media_type};base64,{base64.b64encode(self.contents).decode('ascii')}"


def render_page(template: pathlib.Path, **values: typing.Any) -> str:
    """The page that a template makes of values; all that it names must be given.

    Args:
        template: a file; it may extend ``frame.html``, whose block is called main.
        values: what it names.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, TEMPLATES]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        number=format_number, interval=format_interval, percentage=format_percentage, thousands=separate_thousands
    )
    return environment.get_template(template.name).render(**values)


def separate_thousands(count: int) -> str:
    """A count with narrow spaces, e.g. "12 345"."""
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
