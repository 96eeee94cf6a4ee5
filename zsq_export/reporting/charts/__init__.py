"""The page's pictures: figures in, inline SVG out. One file per kind of picture."""
