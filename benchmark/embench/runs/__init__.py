"""Execution of a plan: scoring its predictions and writing the record; also pretraining alone and submissions."""
