"""What a Windows server is and does, read from its disk or told by itself.

Guest data is hostile everywhere here.
"""
