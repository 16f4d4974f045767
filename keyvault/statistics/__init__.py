"""The statistics that guards and comparisons rest on: pure functions on numbers, the standard library alone.

Each formula names its source. Nothing here rounds, draws without a seed, or knows what the numbers stand for.
"""
