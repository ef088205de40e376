# Reports volumes that have little room left.
Get-Volume | Where-Object { $_.DriveType -eq 'Fixed' -and $_.SizeRemaining -lt 5GB } |
    ForEach-Object { "$($_.DriveLetter): has $($_.SizeRemaining) bytes left" }
