"""The models on offer: which are loaded, who waits for one, and who runs below people."""
