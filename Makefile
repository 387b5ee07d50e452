# Two commands do everything, set-up included: `make example` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
EXAMPLE := outputs/example

CAMPAIGNS := outputs/example-campaign$(addprefix -,$(PRESET))
STABLE := outputs/example-stable$(addprefix -,$(PRESET))
GENERATION := outputs/example-generate$(addprefix -,$(PRESET))
COARSE := outputs/example-coarse-grain$(addprefix -,$(PRESET))
LOOP := outputs/example-loop$(addprefix -,$(PRESET))

.PHONY: help example own example-campaign example-stable example-generate example-coarse-grain example-loop test lint rooms clean

help:
	@echo "make example   install into .venv and run the five stages on the example archive, about five minutes"
	@echo "make own DATA=FILE   import your own energies and forces, fit example/starter.offxml (or FORCE_FIELD=FILE) to them, report"
	@echo "make example-campaign   the same for active learning: nine campaigns for ethanol and their comparison, ten minutes"
	@echo "make example-stable     the same for stable dynamics: a potential and a force field of ethanol repaired, four minutes"
	@echo "make example-generate   the same for generation: train on 7,400 small molecules, generate 2,000, filter them, ten to twenty minutes"
	@echo "make example-coarse-grain   the same for coarse-graining: rigid dimers of benzene, five trainings and their rollouts"
	@echo "make example-loop       all five as one: molecules invented, labelled, fitted, simulated, coarse-grained"
	@echo "make test      install into .venv and run the test suite"
	@echo "make lint      check style, the order of the rooms, types"
	@echo "make rooms     list the rooms of common/ and which imports from which"
	@echo "make clean     remove .venv and $(EXAMPLE)"

# torch comes first: the pinned build then satisfies every package that asks for "torch"
.venv/installed: requirements.txt
	@echo "installing into .venv: 2.3 GB, most of it torch, which comes first; some minutes, by the network"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $$(grep '^torch==' requirements.txt)
	$(BIN)/python -m pip install -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

example: .venv/installed
	$(BIN)/python 001-convert-espaloma-data.py --input example/8150601 --output $(EXAMPLE)/data-raw
	$(BIN)/python 002-parameterize.py --force-field example/starter.offxml --input $(EXAMPLE)/data-raw --output $(EXAMPLE)/starter.pt
	$(BIN)/python 003-cluster-and-filter.py --input $(EXAMPLE)/data-raw --parameters $(EXAMPLE)/starter.pt --output $(EXAMPLE)/data-clustered
	$(BIN)/python 004-train.py --data $(EXAMPLE)/data-clustered --parameters $(EXAMPLE)/starter.pt --output $(EXAMPLE)/runs
	$(BIN)/python 005-analyze.py $(EXAMPLE)/runs --output $(EXAMPLE)/analysis

# From your own calculations to a force field: DATA is a file, or several, that 001-import-own-data.py reads, OPTIONS are
# its options, and FORCE_FIELD is what is fitted.
OWN := outputs/own
FORCE_FIELD := example/starter.offxml

own: .venv/installed
	$(BIN)/python 001-import-own-data.py $(DATA) $(OPTIONS) --output $(OWN)/data-raw
	$(BIN)/python 002-parameterize.py --force-field $(FORCE_FIELD) --input $(OWN)/data-raw --output $(OWN)/parameters.pt
	$(BIN)/python 003-cluster-and-filter.py --input $(OWN)/data-raw --parameters $(OWN)/parameters.pt --output $(OWN)/data-clustered
	$(BIN)/python 004-train.py --data $(OWN)/data-clustered --parameters $(OWN)/parameters.pt --output $(OWN)/runs
	$(BIN)/python 005-analyze.py $(OWN)/runs --output $(OWN)/analysis

# Nine campaigns, two at a time: three modes, three seeds; what is said of each goes to its log, the errors to the console.
# PRESET=ci is the same in a minute, for its own sake; PRESET=comparison that of docs/active-learning.md, fifteen campaigns for a molecule.
CAMPAIGN := $(or $(PRESET),example)
SEEDS_ci := 1
SEEDS_comparison := 31 32 33 34 35
SEEDS := $(or $(SEEDS_$(CAMPAIGN)),1 2 3)
MODES := "" "--selection random" "--no-audit"
SMILES := CCO
MOLECULE := ethanol

example-campaign: .venv/installed
	rm -rf $(CAMPAIGNS)/campaigns $(CAMPAIGNS)/logs && mkdir -p $(CAMPAIGNS)/logs
	$(BIN)/python 021-prepare-search-space.py --preset $(CAMPAIGN) --smiles "$(SMILES)" --output $(CAMPAIGNS)/search-spaces --name $(MOLECULE)
	for mode in $(MODES); do for seed in $(SEEDS); do echo "--seed $$seed $$mode"; done; done | xargs -P 2 -I{} sh -c \
	  '$(BIN)/python 022-run-campaign.py --preset $(CAMPAIGN) --search-space $(CAMPAIGNS)/search-spaces/$(MOLECULE) \
	     --model-cache $(CAMPAIGNS)/model-cache --output $(CAMPAIGNS)/campaigns {} > "$(CAMPAIGNS)/logs/{}.txt" 2>&1 \
	   || { tail -n 3 "$(CAMPAIGNS)/logs/{}.txt"; exit 255; }; sed -n "s/^Trainer: round .* calculations/{}: &/p" "$(CAMPAIGNS)/logs/{}.txt"'
	$(BIN)/python 023-compare-campaigns.py $(CAMPAIGNS)/campaigns/* --output $(CAMPAIGNS)/comparisons --title "Campaigns for $(MOLECULE)"

# The potential before and after, its control, and a force field; PRESET=ci is the same in a minute, for its own sake.
REFERENCE := $(STABLE)/reference/ethanol
ETHANOL := $(or $(PRESET),ethanol)

example-stable: .venv/installed
	$(BIN)/python 011-sample-reference.py --preset $(ETHANOL) --output $(STABLE)/reference
	$(BIN)/python 012-pretrain.py --preset $(ETHANOL) --reference $(REFERENCE) --output $(STABLE)/potentials
	$(BIN)/python 013-stabilize.py --preset $(ETHANOL) --reference $(REFERENCE) --potential $(STABLE)/potentials --output $(STABLE)/stable
	$(BIN)/python 013-stabilize.py --control $(STABLE)/stable --output $(STABLE)/control
	$(BIN)/python 002-parameterize.py --force-field example/starter.offxml --smiles $(REFERENCE).smi --output $(STABLE)/starter.pt
	$(BIN)/python 013-stabilize.py --preset $(ETHANOL)-smirnoff --reference $(REFERENCE) --potential $(STABLE)/starter.pt --output $(STABLE)/refined
	$(BIN)/python 014-simulate.py $(STABLE)/starter.pt $(STABLE)/refined --preset $(ETHANOL)-smirnoff --reference $(REFERENCE) --output $(STABLE)/simulations-smirnoff
	$(BIN)/python 014-simulate.py pre $(STABLE)/stable $(STABLE)/control --preset $(ETHANOL) --reference $(REFERENCE) --output $(STABLE)/simulations

# 1,000 molecules as they come, and some that aim at gaps and compositions; PRESET=ci is the same in a minute and learns
# next to nothing: there may be nothing to parameterise.
GENERATOR := $(or $(PRESET),example)
N_GENERATED := $(if $(filter ci,$(PRESET)),50,1000)
N_AIMED := $(if $(filter ci,$(PRESET)),5,100)
GENERATE = $(BIN)/python 043-generate.py --preset $(GENERATOR) --run $(GENERATION)/generators --output $(GENERATION)/generated
FILTER = $(BIN)/python 044-filter-generated.py --preset $(GENERATOR) --run $(GENERATION)/generators

example-generate: .venv/installed
	rm -rf $(GENERATION)/generated
	$(BIN)/python 041-prepare-molecules.py --source packed --input example/small-molecules.npz --output $(GENERATION)/molecules
	$(BIN)/python 042-train-generator.py --preset $(GENERATOR) --input $(GENERATION)/molecules/molecules.db --output $(GENERATION)/generators
	$(GENERATE)/any.db --n-molecules $(N_GENERATED)
	$(GENERATE)/gap.db --n-molecules $(N_AIMED) --targets gap=3:11:5
	$(GENERATE)/composition.db --n-molecules $(N_AIMED) --targets composition=C4H8O2/C4H9NO/C5H6O/C5H10O2/C4H7NO2
	$(FILTER) --input $(GENERATION)/generated/gap.db --output $(GENERATION)/gap
	$(FILTER) --input $(GENERATION)/generated/composition.db --output $(GENERATION)/composition
	$(FILTER) --input $(GENERATION)/generated/any.db --output $(GENERATION)/any
	test "$$(tr -d '[:space:]' < $(GENERATION)/any/data-raw/smiles.json)" = "[]" || \
	  $(BIN)/python 002-parameterize.py --force-field example/starter.offxml --input $(GENERATION)/any/data-raw --output $(GENERATION)/starter.pt

# Trajectory matching beside force matching, with every frame and with one in five, and beside inputs without symmetry, two
# trainings at a time; PRESET=ci is one of them in seconds, and learns next to nothing.
METHODS := $(or $(PRESET),trajectory sparse-trajectory forces forces-raw sparse-differences)

example-coarse-grain: .venv/installed
	rm -rf $(COARSE)/runs $(COARSE)/logs && mkdir -p $(COARSE)/logs
	$(BIN)/python 031-simulate-bodies.py $(if $(PRESET),--preset $(PRESET)) --smiles c1ccccc1 --parameters example/starter.offxml --output $(COARSE)/benzene
	printf '%s\n' $(METHODS) | xargs -P 2 -I{} sh -c \
	  '$(BIN)/python 032-coarse-grain.py --preset {} --folder $(COARSE)/benzene --output $(COARSE)/runs/{} > $(COARSE)/logs/{}.txt 2>&1 \
	   || { tail -n 3 $(COARSE)/logs/{}.txt; exit 255; }; sed -n "s/^epoch .* weights/{}: &/p" $(COARSE)/logs/{}.txt'
	$(BIN)/python 033-roll-out.py $(if $(PRESET),--preset $(PRESET)) --runs $(METHODS:%=$(COARSE)/runs/%/*) --names $(METHODS) --output $(COARSE)/rollouts

# Once round all five systems; PRESET=ci is the same in two minutes, for its own sake.
example-loop: .venv/installed
	rm -rf $(LOOP)
	$(BIN)/python -m example.loop --sizes $(or $(PRESET),full) --output $(LOOP)

test: .venv/installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

rooms: .venv/installed
	$(BIN)/python -m tests.house

clean:
	rm -rf .venv $(EXAMPLE) $(OWN) $(CAMPAIGNS) $(GENERATION) $(COARSE) $(LOOP)
