"""The product: take in (`intake`), index (`indexing`), find (`search`)."""
