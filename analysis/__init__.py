"""Analyses of a study: tracking server -> frames -> matrices -> tables, figures, report. Never imports torch."""
