"""Planning of a request: resolve the method, choose subjects and units, lay out the graph of stages."""
