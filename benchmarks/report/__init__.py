"""From rows of results to what is published: intervals, provenance, cards, claims and tables."""
