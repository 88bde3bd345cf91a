"""APIs of other local servers, a folder each."""
