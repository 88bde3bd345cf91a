"""Models that an OpenAI-compatible server elsewhere runs; `engine.UpstreamEngine` has the face of
an engine with a worker."""
