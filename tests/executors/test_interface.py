"""What executors share."""

import pytest

from common.executors.interface import describe_error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("no\nyes"), "ValueError: no"),
        (TimeoutError(), "TimeoutError"),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
    ],
)
def test_an_error_is_one_line(error, line):
    assert describe_error(error) == line
