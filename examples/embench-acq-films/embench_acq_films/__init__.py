"""Film studies recorded with BIOPAC AcqKnowledge, as a dataset for embench."""
