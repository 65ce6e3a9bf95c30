"""Vectors: making them (`encoder`) and searching them (`index`)."""
