"""The embedded study: a small language, a model of it, and listeners whose truth is known."""
