"""The command lines of tools/: one file a tool, each with main(argv)."""
