"""Speed, as ratios measured in one run: a module for each area, with `measure(seed)`.

`python -m benchmarks.speed` runs them.
"""
