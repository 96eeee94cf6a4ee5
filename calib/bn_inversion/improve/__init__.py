"""The published improvements of BatchNorm inversion: one file per thing that they change."""
