"""Picture files: where they lie (`store`) and how they are read (`pictures`)."""
