"""Many machines, one central store: what travels, who sends it, who takes it in."""
