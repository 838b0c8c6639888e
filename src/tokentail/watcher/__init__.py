"""When to look: which logs may have changed."""
