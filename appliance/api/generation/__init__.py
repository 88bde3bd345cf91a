"""A stateless request, without a wire format."""
