"""Show left minus right of features that no language model has learnt."""
