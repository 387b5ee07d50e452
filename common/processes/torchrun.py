"""What torchrun tells the processes that it starts; torch itself is not needed to know."""

import os


def is_under_torchrun() -> bool:
    """True where torchrun has started this process and will start, or has started, its fellows."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_first_rank() -> bool:
    """True for one of the processes that torchrun has started, and where there is no torchrun."""
    return not is_under_torchrun() or os.environ["RANK"] == "0"
