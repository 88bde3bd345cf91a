"""Observability: metrics for Prometheus, and the figures of the page's dashboard."""
