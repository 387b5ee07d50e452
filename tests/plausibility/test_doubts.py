"""Every kind of doubt has its words."""

import pathlib
import re

from common.plausibility.doubts import HARMLESS, KINDS
from tests.house import COMMON


def test_kinds_that_checks_name_are_explained():
    text = "".join(path.read_text() for path in pathlib.Path(COMMON / "plausibility").glob("*.py"))
    named = set(re.findall(r'Doubt\(\s*"([^"]+)"', text))
    assert named >= {"gradients", "order", "single precision"}
    assert named <= set(KINDS)
    assert set(HARMLESS) <= set(KINDS)
