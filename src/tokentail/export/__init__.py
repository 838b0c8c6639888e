"""Every reply as a row for other programs: one module an output format."""
