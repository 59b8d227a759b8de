"""What every package here stands on: checks, files, tables, units and versions, each written once.

It imports nothing of this project and nothing heavier than numpy and pandas.
"""
