"""Proof by simulation: the real delivery on virtual time, a real ledger and a made-up world that breaks everything.

python -m tests.simulation --seed 1234 --trace     one seed, step by step
python -m tests.simulation --seeds 10000           a batch, on all cores
python -m tests.simulation --mutants               break the delivery on purpose; every break must be caught
"""
