"""An engine with a worker process: start, feed, watch, restart."""
