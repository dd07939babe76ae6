"""Planning of a request: the method resolved, the subjects and units chosen, the graph of stages laid out."""
