"""The models on offer: which are loaded, who waits for one, and who has low priority."""
