"""Table I of Park et al. (2024): its profiles, the run that fills it, its progress, its text."""
