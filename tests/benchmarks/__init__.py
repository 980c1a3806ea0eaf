"""How fast, at what cost, and against what? The numbers and plots of docs/performance.md."""
