"""Policies for tests that say at once what they will do."""


class Fixed:
    """Always one site."""

    def __init__(self, site):
        self.site = site

    def reset(self, seed):
        pass

    def act(self, env):
        return self.site
