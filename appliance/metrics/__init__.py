"""What the appliance tells of its work: metrics for Prometheus and figures for the page."""
