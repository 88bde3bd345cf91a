"""The memory that a model takes, estimated and measured."""
