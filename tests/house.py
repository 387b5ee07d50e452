"""The rooms of ``common/``, their floors, and which room imports from which, read from the files alone.

    python -m tests.house

prints a line for each room, from the top floor down: modules, lines, and the rooms that it imports from with the number
of imports; then how many pairs of rooms there are.
"""

import ast
import collections
import configparser
import graphlib
import pathlib
import typing

from tests.helpers import ROOT

COMMON = ROOT / "common"

ROOMS_OF_THE_FIT = (
    "analysis", "model_selection", "fitting", "sufficient_statistics", "interop", "smirnoff", "selection", "nagl",
    "espaloma", "runs", "data", "forcefields", "heterograph", "geometry", "reporting", "molecules", "processes",
    "files",
)  # fmt: skip
"""The rooms of the SMIRNOFF fit, stages 001 to 005, without those of the other systems."""


class Import(typing.NamedTuple):
    """One module of ``common/`` imports another, both named as Python names them."""

    importer: str
    imported: str


def list_rooms() -> list[str]:
    """The folders of ``common/`` that hold modules."""
    return sorted({path.parent.name for path in COMMON.glob("*/*.py")})


def list_modules(room: str) -> list[pathlib.Path]:
    return sorted(path for path in (COMMON / room).glob("*.py") if path.name != "__init__.py")


def read_floors() -> list[list[str]]:
    """The rooms of each floor, the top one first, as the contract of import-linter has them."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = contracts["importlinter:contract:floors"]["layers"].split("\n")
    return [[name.strip(" ()") for name in line.split("|")] for line in layers if line.strip()]


def list_imports() -> list[Import]:
    """Every import of one module of ``common/`` by another, those inside functions, too."""
    modules = {_get_name(path) for path in COMMON.rglob("*.py")}
    found = []
    for path in sorted(COMMON.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                # "from common.room import module" names a module, "from common.room.module import thing" none
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name if name in modules else node.module for name in names]
            found += [Import(_get_name(path), name) for name in dict.fromkeys(names) if name in modules]
    return found


def count_pairs() -> dict[tuple[str, str], int]:
    """How often a room imports from another, by (importer, imported); a module outside of rooms stands for itself."""
    pairs: collections.Counter[tuple[str, str]] = collections.Counter()
    for importer, imported in list_imports():
        rooms = importer.split(".")[1], imported.split(".")[1]
        if rooms[0] != rooms[1]:
            pairs[rooms] += 1
    return dict(pairs)


def sort_rooms(pairs: dict[tuple[str, str], int]) -> list[str]:
    """The rooms so that each comes after those it imports from.

    Raises:
        graphlib.CycleError: there is a circle of rooms.
    """
    sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for importer, imported in pairs:
        sorter.add(importer, imported)
    return list(sorter.static_order())


def select_fit(pairs: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    """The pairs of rooms of the SMIRNOFF fit alone."""
    return {pair: n for pair, n in pairs.items() if set(pair) <= set(ROOMS_OF_THE_FIT)}


def _get_name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def main() -> None:
    """Prints the table."""
    pairs = count_pairs()
    sort_rooms(pairs)
    rooms = [room for floor in read_floors() for room in floor if room in list_rooms()]
    print(f"{'room':<22} {'modules':>7} {'lines':>6}  imports from")
    for room in rooms:
        modules = list_modules(room)
        n_lines = sum(len(path.read_text().splitlines()) for path in modules)
        used = ", ".join(
            f"{other} {n}" for (one, other), n in sorted(pairs.items(), key=lambda p: -p[1]) if one == room
        )
        print(f"{room:<22} {len(modules):>7} {n_lines:>6}  {used}")
    print(
        f"{len(pairs)} pairs, {sum(pairs.values())} imports, no circle; {len(select_fit(pairs))} pairs are of the fit"
    )


if __name__ == "__main__":
    main()
