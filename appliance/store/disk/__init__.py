"""Disk faults and the database: full, read-only, lost or changed data."""
