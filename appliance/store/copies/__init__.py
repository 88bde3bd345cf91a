"""Copies of the database: backups, restoring, upgrades that can go back, salvage."""
