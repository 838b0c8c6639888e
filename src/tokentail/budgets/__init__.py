"""Budgets: how much of each is used, and who is told, once, when one is crossed."""
