"""A small generator network, trained per model, that makes inputs with the stored BatchNorm statistics."""
