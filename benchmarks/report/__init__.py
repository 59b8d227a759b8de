"""From results to what is published.

`intervals` and `repeats` do the statistics, `provenance` and `finished` write and find results,
`comparison`, `comparison_figure`, `cards`, `claims` and `targets` present them, and
`readme` renders the pages.
"""
