@echo off
rem Build 6002 is the only one that we tested.
for /f "tokens=6 delims=[]. " %%b in ('ver') do set BUILD=%%b
if not "%BUILD%"=="6002" goto wrong
orderbridge.exe -port 16002
exit /b 0
:wrong
echo This Windows is not supported.
exit /b 1
