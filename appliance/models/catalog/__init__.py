"""The catalog of recommended models, and how names of models are read."""
