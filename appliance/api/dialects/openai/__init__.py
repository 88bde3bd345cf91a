"""OpenAI's API: completions, embeddings, models."""
