"""Stages of a run: pretraining, unimodal fits, fusion fits and predictions. No stage reads a test label."""
