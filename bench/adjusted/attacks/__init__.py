"""Scores that are made of movement or of event markers alone: what learns labels learns them in the study's folds."""
