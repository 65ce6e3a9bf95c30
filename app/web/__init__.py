"""The web face: translates between HTTP and the three verbs in `app.library`."""
