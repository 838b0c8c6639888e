"""The live screen in the terminal; the only place that imports Textual."""
