"""Modules that fail to import, first on the path of a test's appliance: what is shipped lacks them.

Other libraries of the tests bring them, and some library uses them where they are there.
"""
