"""Whether a GPU says what the processor says."""
