' Reports volumes that have little room left.
Option Explicit
Dim disk
For Each disk In GetObject("winmgmts:").ExecQuery("SELECT DeviceID, FreeSpace FROM Win32_LogicalDisk WHERE DriveType = 3")
    If CDbl(disk.FreeSpace) < 5368709120 Then WScript.Echo disk.DeviceID & " has " & disk.FreeSpace & " bytes left"
Next
