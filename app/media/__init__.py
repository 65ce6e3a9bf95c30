"""Picture files: where they lie (`store`, `folder`) and how they are read (`pictures`)."""
