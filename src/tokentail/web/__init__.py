"""The page, its API and the metrics: a server on the same store as all else."""
