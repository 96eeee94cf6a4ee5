"""Agreement with the float model on real data, predicted without any, with an interval."""
