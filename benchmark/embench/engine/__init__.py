"""Runs the graph of stages: pretraining, unimodal and fusion fits, predictions. It knows no test label."""
