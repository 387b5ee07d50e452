"""Numbers as people read them."""

import pytest

from common.reporting.numbers import format_interval, format_number, format_percentage


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (12.345, "12.3"),
        (123.456, "123"),
        (1234.5, "1234"),
        (-0.25, "-0.250"),
        (0.0123456, "0.0123"),
        (0.999, "0.999"),
        (0.00012, "0.000120"),
        (1.2e-5, "1.20e-05"),
        (2e6, "2.00e+06"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert format_number(value) == text


def test_percentages_have_a_sign():
    assert format_percentage(-0.123) == "−12\N{NARROW NO-BREAK SPACE}%"
    assert format_percentage(0.0123) == "+1.2\N{NARROW NO-BREAK SPACE}%"
    assert format_interval(None) == ""
    assert format_interval([1.0, 2.5]) == "1.00 to 2.50"
