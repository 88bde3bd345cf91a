"""What the appliance tells of its work: metrics, figures for the page, traces."""
