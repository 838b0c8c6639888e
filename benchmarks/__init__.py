"""What tokentail costs in time and memory, held against its budgets and beside its peers: `make bench`."""
