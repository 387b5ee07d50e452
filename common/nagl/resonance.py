"""Formal charges averaged over the resonance forms of lowest energy.

The forms are those of Gilson, Gilson and Potter, J. Chem. Inf. Comput. Sci. 43 (2003) 1982, in the reading of
openff-nagl (``openff.nagl.utils.resonance``): starting from the Lewis structure given, a lone pair of a *donor* becomes
a double bond and, along a path of alternating bonds, a double bond of an *acceptor* becomes a lone pair, again and
again. Of all forms so reached those of lowest energy (5 for every charged donor or acceptor) count, each pattern of
formal charges once.

Enumerating them as defined takes time exponential in the number of donors and acceptors, because every neutral amine
and carbonyl takes part. Here the forms are treated as what they are, matchings of a graph: the double bonds cover
every atom as often as its valence asks, except for the donors, which are *exposed*. A single transfer replaces one
exposed atom by another. Two facts make the search short:

1. If two sets of exposed atoms differ by one exchange and both leave a matching, the difference of the matchings is
   one alternating path: the transfer exists, whichever Kekule structure one started from. So the sets can be searched
   without their structures.
2. With the number of exposed atoms fixed, the energy counts the charged nitrogens alone. The sets with few of them are
   enumerated by carrying partial matchings from atom to atom; forms of high energy are enumerated only as far as they
   are needed as stepping stones.
"""

import collections.abc
import dataclasses
import itertools


@dataclasses.dataclass(frozen=True)
class ResonanceType:
    """An atom in its two states: as a donor it has a lone pair where the acceptor has part of a double bond.

    A charged state costs an energy of 5, a neutral one nothing.
    """

    donor_charge: int
    donor_bond_orders: tuple[int, ...]
    acceptor_charge: int
    acceptor_bond_orders: tuple[int, ...]


RESONANCE_TYPES = {
    (8, 1): ResonanceType(-1, (1,), 0, (2,)),
    (16, 1): ResonanceType(-1, (1,), 0, (2,)),
    (7, 3): ResonanceType(0, (1, 1, 1), 1, (1, 1, 2)),
    (7, 2): ResonanceType(-1, (1, 1), 0, (1, 2)),
    (7, 1): ResonanceType(-1, (2,), 0, (3,)),
}
"""By atomic number and number of bonds, from openff-nagl's table (``openff.nagl.utils._types``)."""

Bond = tuple[int, int, int]
"""Two atoms and the order of the bond between them."""

BondOrders = list[tuple[int, ...]]
"""Of each atom, the sorted orders of its bonds."""

Types = dict[int, ResonanceType]
"""Of each atom that can be a donor or an acceptor."""

Donors = frozenset[int]
"""The atoms that are donors in one form, which says all of its formal charges."""


@dataclasses.dataclass(frozen=True)
class _Fragment:
    """Atoms joined by bonds that may change between single and double.

    Attributes:
        neighbors: of each atom, by position in the fragment.
        n_double: how many double bonds each atom has; 1 for donors and acceptors, which may also have none.
        exchangeable: bit mask of the donors and acceptors.
        neutral_donors: bit mask of the nitrogens with three bonds: neutral as donors, charged as acceptors.
        exposed: bit mask of the donors in the form given.
    """

    neighbors: list[list[int]]
    n_double: list[int]
    exchangeable: int
    neutral_donors: int
    exposed: int

    def count_charged_nitrogens(self, exposed: int) -> int:
        """How many of the nitrogens with three bonds are acceptors, hence charged."""
        return (self.neutral_donors & ~exposed).bit_count()


def compute_average_formal_charges(
    atomic_nums: collections.abc.Sequence[int],
    formal_charges: collections.abc.Sequence[int],
    bonds: collections.abc.Sequence[Bond],
) -> list[float]:
    """The formal charge of each atom, averaged over the resonance forms of lowest energy [e].

    Args:
        atomic_nums: of all atoms, hydrogens included.
        formal_charges: [e] in the Lewis structure given.
        bonds: atoms and integer order of every bond of that structure.
    """
    charges = [float(charge) for charge in formal_charges]
    if not any(formal_charges):
        return charges  # the form without any charge is the only one of energy zero
    bond_orders = _collect_bond_orders(len(charges), bonds)
    types = _assign_types(atomic_nums, formal_charges, bond_orders)
    for atoms in _split_into_fragments(bond_orders, types, bonds):
        typed = [atom for atom in atoms if atom in types]
        if not any(formal_charges[atom] for atom in typed):
            continue
        inside = set(atoms)
        inner_bonds = [bond for bond in bonds if bond[0] in inside and bond[1] in inside]
        donors = frozenset(atom for atom in typed if bond_orders[atom] == types[atom].donor_bond_orders)
        forms = _enumerate_lowest_forms(atoms, inner_bonds, bond_orders, types, donors)
        for atom in typed:
            share = sum(atom in form for form in forms) / len(forms)
            charges[atom] = types[atom].donor_charge * share + types[atom].acceptor_charge * (1.0 - share)
    return charges


def _collect_bond_orders(n_atoms: int, bonds: collections.abc.Sequence[Bond]) -> BondOrders:
    orders: list[list[int]] = [[] for _ in range(n_atoms)]
    for i, j, order in bonds:
        orders[i].append(order)
        orders[j].append(order)
    return [tuple(sorted(values)) for values in orders]


def _assign_types(
    atomic_nums: collections.abc.Sequence[int], formal_charges: collections.abc.Sequence[int], bond_orders: BondOrders
) -> Types:
    types = {}
    for atom, (atomic_num, charge, orders) in enumerate(zip(atomic_nums, formal_charges, bond_orders, strict=True)):
        type_ = RESONANCE_TYPES.get((atomic_num, len(orders)))
        if type_ is not None and (charge, orders) in (
            (type_.donor_charge, type_.donor_bond_orders),
            (type_.acceptor_charge, type_.acceptor_bond_orders),
        ):
            types[atom] = type_
    return types


def _split_into_fragments(
    bond_orders: BondOrders, types: Types, bonds: collections.abc.Sequence[Bond]
) -> collections.abc.Iterator[list[int]]:
    """Groups of atoms between which electrons can move, each in an order that follows the bonds.

    Only an atom that is a donor or an acceptor, or has a double bond, can lie on a path of alternating bonds.
    """
    movable = {atom for atom, orders in enumerate(bond_orders) if atom in types or 2 in orders}
    neighbors = _collect_neighbors(bond for bond in bonds if bond[0] in movable and bond[1] in movable)
    seen: set[int] = set()
    for start in sorted(movable):
        if start not in seen:
            far_end = _walk_breadth_first(neighbors, start)[-1]
            atoms = _walk_breadth_first(neighbors, far_end)  # from end to end, few bonds lie open at any time
            seen.update(atoms)
            yield atoms


def _collect_neighbors(bonds: collections.abc.Iterable[Bond]) -> dict[int, list[int]]:
    neighbors: dict[int, list[int]] = collections.defaultdict(list)
    for i, j, _ in bonds:
        neighbors[i].append(j)
        neighbors[j].append(i)
    return neighbors


def _walk_breadth_first(neighbors: collections.abc.Mapping[int, list[int]], start: int) -> list[int]:
    order, seen = [start], {start}
    for atom in order:
        for neighbor in neighbors[atom]:
            if neighbor not in seen:
                seen.add(neighbor)
                order.append(neighbor)
    return order


def _enumerate_lowest_forms(
    atoms: list[int], bonds: list[Bond], bond_orders: BondOrders, types: Types, donors: Donors
) -> list[Donors]:
    """The donors of each form of lowest energy that transfers reach."""
    if _needs_explicit_paths(atoms, bonds, bond_orders):
        return _enumerate_by_transfers(bonds, types, donors)
    # without an atom that has both a double and a triple bond, nothing can change a nitrile or an azide's end
    exchangeable = [atom for atom in atoms if atom in types and types[atom].acceptor_bond_orders != (3,)]
    bit = {atom: 1 << i for i, atom in enumerate(atoms)}
    position = {atom: i for i, atom in enumerate(atoms)}
    neighbors = _collect_neighbors(bond for bond in bonds if bond[2] < 3)
    fragment = _Fragment(
        [[position[neighbor] for neighbor in neighbors[atom]] for atom in atoms],
        [1 if atom in exchangeable else bond_orders[atom].count(2) for atom in atoms],
        sum(bit[atom] for atom in exchangeable),
        sum(bit[atom] for atom in exchangeable if types[atom].donor_charge == 0),
        sum(bit[atom] for atom in exchangeable if atom in donors),
    )
    fixed = donors.difference(exchangeable)
    return [fixed.union(atom for atom in exchangeable if form & bit[atom]) for form in _search_lowest_forms(fragment)]


def _search_lowest_forms(fragment: _Fragment) -> set[int]:
    """The masks of exposed atoms of all forms of lowest energy that exchanges reach from the one given.

    Exchanges among the forms no higher than the one given nearly always reach all of the lowest. Where they do not,
    higher and higher forms are let in as stepping stones.
    """
    n_charged = fragment.count_charged_nitrogens(fragment.exposed)
    while True:
        forms = _enumerate_forms(fragment, n_charged)
        reached = _follow_exchanges(fragment, forms)
        lowest = _select_lowest(fragment, forms)
        if lowest <= reached:
            return lowest
        if n_charged == fragment.neutral_donors.bit_count():
            return _select_lowest(fragment, reached)
        n_charged += 1


def _select_lowest(fragment: _Fragment, forms: set[int]) -> set[int]:
    counts = {form: fragment.count_charged_nitrogens(form) for form in forms}
    lowest = min(counts.values())
    return {form for form, count in counts.items() if count == lowest}


def _follow_exchanges(fragment: _Fragment, forms: set[int]) -> set[int]:
    """Those of the forms that single exchanges of an exposed atom for another reach from the form given."""
    bits = [1 << i for i in range(len(fragment.neighbors)) if fragment.exchangeable >> i & 1]
    reached, to_visit = {fragment.exposed}, [fragment.exposed]
    while to_visit and len(reached) < len(forms):
        form = to_visit.pop()
        covered = [bit for bit in bits if not form & bit]
        for exposed in (form ^ bit for bit in bits if form & bit):
            for bit in covered:
                other = exposed | bit
                if other in forms and other not in reached:
                    reached.add(other)
                    to_visit.append(other)
    return reached


def _enumerate_forms(fragment: _Fragment, max_charged: int) -> set[int]:
    """All masks of exposed atoms, as many as in the form given, that leave every other atom its double bonds.

    Atom by atom, all that matters of the double bonds laid so far is how many each later atom already has (three bits
    for each in ``laid``), and which sets of exposed atoms lead there.

    Args:
        fragment: the atoms and bonds.
        max_charged: how many charged nitrogens a form may have.
    """
    n_exposed = fragment.exposed.bit_count()
    partial: dict[int, set[int]] = {0: {0}}
    for atom, neighbors in enumerate(fragment.neighbors):
        bit, shift = 1 << atom, 3 * atom
        later = [neighbor for neighbor in neighbors if neighbor > atom]
        seen_nitrogens = fragment.neutral_donors & ((bit << 1) - 1)
        extended: dict[int, set[int]] = collections.defaultdict(set)
        for laid, forms in partial.items():
            n_missing = fragment.n_double[atom] - (laid >> shift & 7)
            rest = laid & ~(7 << shift)
            if n_missing == 1 and fragment.exchangeable & bit:
                extended[rest].update(form | bit for form in forms if form.bit_count() < n_exposed)
            if fragment.neutral_donors & bit:
                forms = {form for form in forms if (seen_nitrogens & ~form).bit_count() <= max_charged}
            for chosen in itertools.combinations(later, n_missing):
                if all((rest >> 3 * neighbor & 7) < fragment.n_double[neighbor] for neighbor in chosen):
                    extended[rest + sum(1 << 3 * neighbor for neighbor in chosen)] |= forms
        partial = extended
    return {form for forms in partial.values() for form in forms if form.bit_count() == n_exposed}


def _needs_explicit_paths(atoms: list[int], bonds: list[Bond], bond_orders: BondOrders) -> bool:
    """Whether an exchange might exist that no simple path of single and double bonds carries out.

    Either an atom has both a double and a triple bond, or a path would have to cross itself: at an atom with two or
    more double bonds, in a ring, with a third neighbor that leads on and a fourth. Both are rarities of hypervalent
    sulfur, phosphorus and halogens.
    """
    if any(2 in bond_orders[atom] and 3 in bond_orders[atom] for atom in atoms):
        return True
    neighbors = _collect_neighbors(bonds)
    for atom in atoms:
        leading_on = [neighbor for neighbor in neighbors[atom] if len(neighbors[neighbor]) > 1]
        if bond_orders[atom].count(2) > 1 and len(neighbors[atom]) > 3 and len(leading_on) > 2:
            others = _collect_neighbors(bond for bond in bonds if atom not in bond[:2])
            if any(set(_walk_breadth_first(others, start)[1:]) & set(leading_on) for start in leading_on):
                return True
    return False


def _enumerate_by_transfers(bonds: list[Bond], types: Types, donors: Donors) -> list[Donors]:
    """The same forms from the definition itself: every transfer along every path from every structure."""
    neighbors = _collect_neighbors(bonds)
    start = (frozenset((frozenset(bond[:2]), bond[2]) for bond in bonds), donors)
    structures, to_visit = {start}, [start]
    while to_visit:
        orders, structure_donors = to_visit.pop()
        for path in _find_transfer_paths(neighbors, dict(orders), types, structure_donors):
            changed = dict(orders)
            for i, pair in enumerate(itertools.pairwise(path)):
                changed[frozenset(pair)] += 1 if i % 2 == 0 else -1
            structure = (frozenset(changed.items()), structure_donors - {path[0]} | {path[-1]})
            if structure not in structures:
                structures.add(structure)
                to_visit.append(structure)
    forms = {structure_donors for _, structure_donors in structures}
    energies = {form: _count_charged(types, neighbors, form) for form in forms}
    return [form for form in forms if energies[form] == min(energies.values())]


def _count_charged(types: Types, atoms: collections.abc.Iterable[int], donors: Donors) -> int:
    return sum(
        (types[atom].donor_charge if atom in donors else types[atom].acceptor_charge) != 0
        for atom in atoms
        if atom in types
    )


def _find_transfer_paths(
    neighbors: collections.abc.Mapping[int, list[int]], orders: dict[frozenset[int], int], types: Types, donors: Donors
) -> collections.abc.Iterator[tuple[int, ...]]:
    """Simple paths from a donor to an acceptor whose bonds have the orders b, b + 1, b, b + 1, ..."""
    to_extend: list[tuple[int, ...]] = [(donor,) for donor in donors]
    while to_extend:
        path = to_extend.pop()
        for neighbor in neighbors[path[-1]]:
            order = orders[frozenset((path[-1], neighbor))]
            previous = orders[frozenset(path[-2:])] if len(path) > 1 else None
            fits = previous is None or order - previous == (1 if len(path) % 2 == 0 else -1)
            if neighbor not in path and fits:
                extended = (*path, neighbor)
                to_extend.append(extended)
                if len(extended) % 2 == 1 and neighbor in types and neighbor not in donors:
                    yield extended
