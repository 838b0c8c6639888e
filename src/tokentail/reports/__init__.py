"""Rows to text: one module a report, one module an output format."""
