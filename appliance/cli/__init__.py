"""The command line.

`main` has the group and the way a command ends, every other module a family of commands, `options`
what they share. A command imports what it needs when it runs: asking for help stays quick.
"""
