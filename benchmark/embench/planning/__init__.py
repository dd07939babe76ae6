"""From a request to a plan: the method resolved, the people and units chosen, the graph of stages laid out."""
