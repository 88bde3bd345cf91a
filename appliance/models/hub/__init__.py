"""The Hugging Face Hub, and downloads that survive interruptions and restarts."""
