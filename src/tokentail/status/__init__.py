"""How things stand, and how that is told."""
