"""The command line: one small module per command group. Parses arguments, calls `app`, renders; decides
nothing."""

import atexit
import gc

# A command imports much, and almost all of it lives as long as the process: of `plan apply` 150 000 objects.
# Python's collector would look through them again and again while they are imported, and once more at the
# end: 0.4 s of each command.
gc.set_threshold(200_000, 20, 20)
atexit.register(gc.freeze)
