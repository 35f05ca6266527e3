"""Mirrors WRDS data sets to Parquet."""

import os
import sys

if sys.platform == "linux":
    # Arrow reads it when it is loaded, after this. Its usual pool takes pages of 2 MB for each
    # thread and size; jemalloc takes fewer and smaller ones (docs/decisions/0044).
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")  # noqa: TID251 - Arrow's own
