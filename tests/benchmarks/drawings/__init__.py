"""How does each result look? One module for each plot: `draw` makes it in the colours of a theme."""
