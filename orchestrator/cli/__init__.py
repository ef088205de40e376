"""The command line: one small module per command group. Parses arguments, calls `app`, renders; decides
nothing."""
