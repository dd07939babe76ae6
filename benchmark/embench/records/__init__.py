"""Files of a run: predictions, labels, folds, scores, manifest, ledger, submissions and audits."""
