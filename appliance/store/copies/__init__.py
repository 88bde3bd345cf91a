"""Copies of the database: backup, restore, rollback of upgrades, salvage."""
