"""Averages over resonance forms: by hand for small ions, against the definition for random graphs."""

import random

import pytest

from common.molecules.mapped_smiles import from_smiles
from common.nagl.normalization import normalize
from common.nagl.resonance import RESONANCE_TYPES, Bond, compute_average_formal_charges

ROUNDING = 1e-12

N_RANDOM_GRAPHS = 1500

MAX_STRUCTURES = 20_000
"""Random graphs with more Lewis structures than that are passed over."""


def average(smiles: str) -> list[float]:
    """Of the heavy atoms, in the order of the SMILES."""
    mol = normalize(from_smiles(smiles))
    charges = compute_average_formal_charges(
        [atom.GetAtomicNum() for atom in mol.GetAtoms()],
        [atom.GetFormalCharge() for atom in mol.GetAtoms()],
        [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), int(b.GetBondTypeAsDouble())) for b in mol.GetBonds()],
    )
    return charges[: mol.GetNumHeavyAtoms()]


THIRD = 1.0 / 3.0


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("CCO", [0, 0, 0]),
        ("CC(=O)[O-]", [0, 0, -0.5, -0.5]),
        ("NC(=[NH2+])N", [THIRD, 0, THIRD, THIRD]),
        ("C[N+](=O)[O-]", [0, 1, -0.5, -0.5]),
        ("[O-][N+](=O)[O-]", [-2 * THIRD, 1, -2 * THIRD, -2 * THIRD]),
        ("CS(=O)(=O)[O-]", [0, 0, -THIRD, -THIRD, -THIRD]),
        ("[O-]S(=O)(=O)[O-]", [-0.5, 0, -0.5, -0.5, -0.5]),
        ("C[NH3+]", [0, 1]),
        ("CC([O-])=CC(C)=O", [0, 0, -0.5, 0, 0, 0, -0.5]),
        ("CN(C)C=C[CH]=[N+](C)C", [0, 0.5, 0, 0, 0, 0, 0.5, 0, 0]),
        ("[O-]C(=O)CCC(=O)[O-]", [-0.5, 0, -0.5, 0, 0, 0, -0.5, -0.5]),
        ("[O-]c1cc[nH]c1", [-1, 0, 0, 0, 0, 0]),
        ("[O-]C=C(C=O)C=O", [-THIRD, 0, 0, 0, -THIRD, 0, -THIRD]),
        ("CN=[N+]=[N-]", [0, 0, 1, -1]),
        ("NC=O", [0, 0, 0]),
        ("[O-][n+]1ccccc1", [-1, 1, 0, 0, 0, 0, 0]),
    ],
)
def test_small_molecules(smiles, expected):
    assert average(smiles) == pytest.approx(expected, abs=ROUNDING)


def test_groups_of_one_conjugated_system_are_averaged_each_for_itself():
    assert average("O=C([O-])c1ccc([N+](=O)[O-])cc1") == pytest.approx(
        [-0.5, 0, -0.5, 0, 0, 0, 0, 1, -0.5, -0.5, 0, 0], abs=ROUNDING
    )


def test_many_groups_in_one_system_are_no_burden():
    """Six carboxylates on benzene, six sulfonates and two azo groups: the definition has millions of structures."""
    mellitate = average("O=C([O-])c1c(C(=O)[O-])c(C(=O)[O-])c(C(=O)[O-])c(C(=O)[O-])c1C(=O)[O-]")
    assert sorted(mellitate) == pytest.approx([-0.5] * 12 + [0.0] * 12, abs=ROUNDING)
    congo_red = (
        "Nc1c(N=Nc2ccc(-c3ccc(N=Nc4cc(S(=O)(=O)[O-])c5ccccc5c4N)cc3)cc2)cc(S(=O)(=O)[O-])c2ccccc12"  # twice an anion
    )
    assert sum(average(congo_red)) == pytest.approx(-2.0, abs=ROUNDING)
    assert min(average(congo_red)) == pytest.approx(-THIRD, abs=ROUNDING)


def test_forms_of_equal_energy_behind_a_barrier_are_found():
    """cis-Azodioxide with a single bond: the two lowest forms are joined only through one with four charges."""
    atomic_nums = [8, 7, 7, 8, 1, 1]
    charges = [0, 1, 0, -1, 0, 0]
    bonds = [(0, 1, 2), (1, 2, 1), (2, 3, 1), (1, 4, 1), (2, 5, 1)]
    expected = enumerate_definition(atomic_nums, charges, bonds)
    assert expected == pytest.approx([-0.5, 0.5, 0.5, -0.5, 0, 0])
    assert compute_average_formal_charges(atomic_nums, charges, bonds) == pytest.approx(expected, abs=ROUNDING)


def enumerate_definition(atomic_nums: list[int], charges: list[int], bonds: list[Bond]) -> list[float]:
    """The averages by brute force: all Lewis structures that transfers along simple paths reach, no theory at all.

    Raises:
        OverflowError: there are more than ``MAX_STRUCTURES``.
    """
    n_atoms = len(atomic_nums)
    incident = [[k for k, bond in enumerate(bonds) if atom in bond[:2]] for atom in range(n_atoms)]
    states = {}
    for (atomic_num, _), type_ in RESONANCE_TYPES.items():
        donor, acceptor = (
            (type_.donor_charge, type_.donor_bond_orders),
            (type_.acceptor_charge, type_.acceptor_bond_orders),
        )
        states[atomic_num, *donor] = ("donor", acceptor[0])
        states[atomic_num, *acceptor] = ("acceptor", donor[0])

    def classify(structure, atom):
        structure_charges, orders = structure
        return states.get(
            (atomic_nums[atom], structure_charges[atom], tuple(sorted(orders[k] for k in incident[atom])))
        )

    def transfers(structure):
        orders = structure[1]
        to_extend = [((atom,), ()) for atom in range(n_atoms) if (classify(structure, atom) or " ")[0] == "donor"]
        while to_extend:
            path, edges = to_extend.pop()
            kind = classify(structure, path[-1])
            if len(path) > 1 and len(path) % 2 and kind and kind[0] == "acceptor":
                changed_charges, changed_orders = list(structure[0]), list(orders)
                for end in (path[0], path[-1]):
                    changed_charges[end] = classify(structure, end)[1]
                for k, edge in enumerate(edges):
                    changed_orders[edge] += (-1) ** k
                yield tuple(changed_charges), tuple(changed_orders)
            for edge in incident[path[-1]]:
                (neighbor,) = set(bonds[edge][:2]) - {path[-1]}
                if neighbor not in path and (not edges or orders[edge] - orders[edges[-1]] == -((-1) ** len(edges))):
                    to_extend.append(((*path, neighbor), (*edges, edge)))

    start = (tuple(charges), tuple(bond[2] for bond in bonds))
    structures, to_visit = {start}, [start]
    while to_visit:
        for structure in transfers(to_visit.pop()):
            if structure not in structures:
                structures.add(structure)
                to_visit.append(structure)
        if len(structures) > MAX_STRUCTURES:
            raise OverflowError
    forms = {structure[0]: sum(q != 0 for q in structure[0]) for structure in structures}
    lowest = [form for form, n_charged in forms.items() if n_charged == min(forms.values())]
    return [sum(form[atom] for form in lowest) / len(lowest) for atom in range(n_atoms)]


def make_random_graph(rng: random.Random) -> tuple[list[int], list[int], list[Bond]]:
    """C, N, O and S joined at random within their valences, with rings, cumulated and hypervalent double bonds."""
    valences = {6: 4, 7: 4, 8: 2, 16: 6}
    atomic_nums = [6, *(rng.choice([6, 6, 7, 7, 8, 16]) for _ in range(rng.randint(3, 9)))]
    used = [0] * len(atomic_nums)
    orders: dict[tuple[int, int], int] = {}

    def try_to_add(i: int, j: int) -> None:
        if i != j and used[i] < valences[atomic_nums[i]] and used[j] < valences[atomic_nums[j]]:
            pair = (min(i, j), max(i, j))
            orders[pair] = orders.get(pair, 0) + 1
            used[i] += 1
            used[j] += 1

    for i in range(1, len(atomic_nums)):
        try_to_add(i, rng.randrange(i))
    for _ in range(rng.randint(0, 2)):
        try_to_add(*rng.sample(range(len(atomic_nums)), 2))
    for pair in rng.sample(sorted(orders), len(orders)):
        if orders[pair] == 1 and rng.random() < 0.7:
            try_to_add(*pair)
            if rng.random() < 0.1:
                try_to_add(*pair)
    lone = {8: {1: -1}, 16: {1: -1}, 7: {4: 1, 2: -1}}
    charges = [
        lone.get(atomic_num, {}).get(n, 0) if rng.random() < 0.8 or n == 4 else 0
        for atomic_num, n in zip(atomic_nums, used, strict=True)
    ]
    saturated = {6: 4, 7: 3, 8: 2, 16: 2}
    bonds = [(i, j, order) for (i, j), order in orders.items()]
    for i, n in enumerate(list(used)):
        for _ in range(saturated[atomic_nums[i]] + charges[i] - n):
            atomic_nums.append(1)
            charges.append(0)
            bonds.append((i, len(atomic_nums) - 1, 1))
    return atomic_nums, charges, bonds


def test_averages_equal_those_of_the_definition_for_random_graphs():
    rng = random.Random(0)
    n_delocalized = 0
    for _ in range(N_RANDOM_GRAPHS):
        atomic_nums, charges, bonds = make_random_graph(rng)
        try:
            expected = enumerate_definition(atomic_nums, charges, bonds)
        except OverflowError:
            continue
        found = compute_average_formal_charges(atomic_nums, charges, bonds)
        assert found == pytest.approx(expected, abs=ROUNDING), (atomic_nums, charges, bonds)
        n_delocalized += expected != charges
    assert n_delocalized > N_RANDOM_GRAPHS / 20  # else the graphs would prove little


def test_averages_do_not_hang_on_the_order_of_atoms_and_bonds():
    rng = random.Random(1)
    for _ in range(200):
        atomic_nums, charges, bonds = make_random_graph(rng)
        expected = compute_average_formal_charges(atomic_nums, charges, bonds)
        order = rng.sample(range(len(atomic_nums)), len(atomic_nums))
        shuffled = [(order.index(j), order.index(i), n) for i, j, n in rng.sample(bonds, len(bonds))]
        found = compute_average_formal_charges([atomic_nums[i] for i in order], [charges[i] for i in order], shuffled)
        assert found == pytest.approx([expected[i] for i in order], abs=ROUNDING)
