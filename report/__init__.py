"""Describe a study: states, checks, commands to run, figures and pages."""
