"""Records, scores, intervals, controls and the ledger: everything that happens after predictions are made."""
