"""How weights become integers: one file or folder per method, registered by entry point ``zsq_export.roundings``."""
