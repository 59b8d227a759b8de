"""How fast the parts are, as ratios measured in one run: a module an area, `measure(seed)` each."""
