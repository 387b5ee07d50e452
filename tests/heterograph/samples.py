"""Files that DGL wrote, and what the tests of reading and writing them share."""

from common.heterograph.reader import Heterograph, read_heterograph
from tests.helpers import DATA

HETEROGRAPHS = DATA / "heterograph"
SAMPLES = ("ethanol", "methanol-opt-path", "n-methylacetamide")


def read_sample(name: str) -> Heterograph:
    return read_heterograph(HETEROGRAPHS / name / "heterograph.bin", with_edges=True)
