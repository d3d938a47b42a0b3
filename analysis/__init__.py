"""Analyses of a study: tracking server -> frames -> matrices -> tables, figures, report.

PyTorch is imported only where the report and `rank` run a start on text.
"""
