"""Mixed precision: which layer gets how many bits, within a budget."""
