@echo off
rem %1 = from, %2 = to
robocopy "%~1" "%~2" /E /Z /R:2 /W:10 /LOG+:C:\Scripts\nightly-export.log
if errorlevel 8 exit /b 1
exit /b 0
