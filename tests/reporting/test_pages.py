"""Pages made of templates: nothing from elsewhere, nothing left out, nothing taken as markup."""

import base64

import jinja2
import pytest

from common.reporting.pages import TEMPLATES, Picture, render_page, separate_thousands


def test_a_page_has_the_style_and_takes_values_as_text(tmp_path):
    (tmp_path / "page.html").write_text("<style>{% include 'report.css' %}</style>{{ name }} {{ 0.1234 | number }}")
    page = render_page(tmp_path / "page.html", name="<b>")
    assert "&lt;b&gt; 0.123" in page
    assert (TEMPLATES / "report.css").read_text().strip() in page
    assert "http" not in page


def test_a_value_that_is_not_given_is_an_error(tmp_path):
    (tmp_path / "page.html").write_text("{{ missing }}")
    with pytest.raises(jinja2.UndefinedError, match="missing"):
        render_page(tmp_path / "page.html")


def test_a_picture_is_part_of_the_page():
    uri = Picture("a.svg", "a line", b"<svg/>").uri
    assert uri.startswith("data:image/svg+xml;base64,")
    assert base64.b64decode(uri.partition(",")[2]) == b"<svg/>"


def test_thousands_are_set_apart():
    assert separate_thousands(1234567) == "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567"
    assert separate_thousands(12) == "12"
