"""Running a plan, scoring what it answers, and writing the record; also pretraining alone and submissions."""
