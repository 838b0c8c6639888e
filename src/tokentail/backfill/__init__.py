"""Logs of other machines read once, by many processes: what they are cut into, who parses it, and how it is put together."""
