"""The status line of Claude Code: what it says of a session, what the store knows, and how it is put in."""
