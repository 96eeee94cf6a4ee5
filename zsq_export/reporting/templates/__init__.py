"""The page's parts: one template per section, and the style sheets."""
