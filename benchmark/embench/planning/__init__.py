"""From a request to a plan: the method resolved, the subjects and units chosen, the graph of stages laid out."""
