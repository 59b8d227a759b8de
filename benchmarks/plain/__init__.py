"""Plain implementations of published generators, as slow as public code: peers for `speed`."""
