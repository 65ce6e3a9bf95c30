"""Glimpse: a self-hosted gallery in which people find their own pictures by describing them."""

__version__ = "0.1.0"
