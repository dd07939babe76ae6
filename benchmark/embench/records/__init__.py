"""What a run leaves on disk: predictions, labels, folds, scores, manifest, ledger, submissions and audits."""
