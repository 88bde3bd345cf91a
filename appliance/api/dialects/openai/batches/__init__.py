"""OpenAI's batches and files."""
