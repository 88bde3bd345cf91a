"""What all APIs share: bodies, headers, errors, streams, WebSockets."""
