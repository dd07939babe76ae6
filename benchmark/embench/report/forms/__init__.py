"""Runs, datasets and boards in the forms of others: a checklist for reviewers, metadata for search engines and hubs."""

from embench.report.forms.croissant import board_croissant, dataset_croissant
from embench.report.forms.hub import hub_benchmark, hub_results
from embench.report.forms.reforms import reforms_checklist

__all__ = ["board_croissant", "dataset_croissant", "hub_benchmark", "hub_results", "reforms_checklist"]
