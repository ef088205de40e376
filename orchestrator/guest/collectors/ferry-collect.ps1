# Tells what this Windows server is and does, as one JSON document in ASCII. For Windows Server 2022 and 2025.
#
#   powershell -NoProfile -ExecutionPolicy Bypass -File ferry-collect.ps1 facts.json     (or without a file name)
#
# It only reads: WMI, registry keys by "reg export", a few files, netstat. What it writes is its output and one
# temporary file, which it deletes. It never asks for Win32_Product, reads no password hash, and leaves out
# values whose name speaks of a password. Run it as an administrator with the 64-bit PowerShell 5.1; what it may
# not see it reports as such. Bring the output to: ferry inventory --import facts.json
param([string]$OutFile = '')
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
Remove-TypeData -TypeName System.Array -ErrorAction SilentlyContinue  # else ConvertTo-Json wraps some arrays

$version = 1
$maxOutput = 24MB
$maxFile = 64MB
$script:spent = 0
$scratch = if ($OutFile) { "$OutFile.tmp" } else { Join-Path $env:TEMP "ferry-$([guid]::NewGuid().ToString('N')).tmp" }
$secret = '^"[^"]*(password|passwd|passphrase|pwd|secret)[^"]*"='
$system32 = Join-Path $env:SystemRoot 'System32'

function Get-Cell($value) {
    if ($null -eq $value -or $value -is [bool]) { return $value }
    if ($value -is [datetime]) { return $value.ToString('yyyyMMdd') }
    return [string]$value
}

function Get-Row($item, $columns) {
    $row = [ordered]@{}
    foreach ($column in $columns) { $row[$column] = Get-Cell $item.$column }
    return $row
}

function Get-Table([scriptblock]$query, $columns) {
    try { $found = @(& $query) } catch { return [ordered]@{ error = [string]$_.Exception.Message } }
    $rows = @($found | ForEach-Object { Get-Row $_ $columns })
    return [ordered]@{ count = $rows.Length; rows = [object[]]$rows }
}

function Get-Class($name, $columns, $filter = '') {
    return Get-Table { if ($filter) { Get-CimInstance $name -Filter $filter } else { Get-CimInstance $name } } $columns
}

function Get-Members {
    try {
        $rows = @(foreach ($group in Get-CimInstance Win32_Group -Filter 'LocalAccount = TRUE') {
            $where = "GroupComponent = ""Win32_Group.Domain='$($group.Domain)',Name='$($group.Name)'"""
            foreach ($entry in Get-CimInstance -Query "SELECT * FROM Win32_GroupUser WHERE $where") {
                $member = $entry.PartComponent
                $kind = $member.CimSystemProperties.ClassName
                [ordered]@{ Group = $group.Name; Member = "$kind.Domain=""$($member.Domain)"",Name=""$($member.Name)""" }
            }
        })
    } catch { return [ordered]@{ error = [string]$_.Exception.Message } }
    return [ordered]@{ count = $rows.Length; rows = [object[]]$rows }
}

function Get-Listeners {
    $names = @{}
    Get-Process | ForEach-Object { $names[[string]$_.Id] = $_.ProcessName }
    $rows = @(foreach ($line in & "$system32\netstat.exe" -ano) {
        $words = -split $line
        if ($words.Length -lt 4) { continue }
        $tcp = $words[0] -eq 'TCP' -and $words[2].EndsWith(':0')
        if ($tcp -or ($words[0] -eq 'UDP' -and $words[2] -eq '*:*')) {
            [ordered]@{ Protocol = $words[0]; Local = $words[1]; Process = [string]$names[$words[-1]] }
        }
    })
    return [ordered]@{ count = $rows.Length; rows = [object[]]$rows }
}

function Get-Lines([string[]]$lines) {
    $size = 0
    foreach ($line in $lines) { $size += $line.Length + 4 }
    if ($script:spent + $size -gt $maxOutput) { return [ordered]@{ state = 'too large' } }
    $script:spent += $size
    return [ordered]@{ state = 'read'; lines = [object[]]$lines }
}

function Get-Export($key, $depth) {
    try { $open = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($key.TrimStart('\')) } catch { return @{ state = 'denied' } }
    if ($null -eq $open) { return @{ state = 'absent' } }
    $open.Close()
    & "$env:ComSpec" /d /c "reg export ""HKLM$key"" ""$scratch"" /y >nul 2>&1"
    try {
        if ($LASTEXITCODE -ne 0) { return @{ state = 'denied' } }
        if ((Get-Item -LiteralPath $scratch).Length -gt $maxFile) { return @{ state = 'too large' } }
        $levels = "HKEY_LOCAL_MACHINE$key".Split('\').Length + $depth
        $wanted = $false
        $dropping = $false
        $kept = New-Object System.Collections.Generic.List[string]
        foreach ($line in [IO.File]::ReadAllLines($scratch, [Text.Encoding]::Unicode)) {
            if ($line.StartsWith('[')) {
                $wanted = $line.Split('\').Length -le $levels -or $line.Contains('\TriggerInfo\')
                $dropping = $false
            } elseif ($line.StartsWith('"')) { $dropping = $line -match $secret }
            elseif ($line.StartsWith('@')) { $dropping = $false }
            if ($wanted -and -not $dropping -and $line) { $kept.Add($line) }
        }
        return Get-Lines $kept.ToArray()
    } finally { Remove-Item -LiteralPath $scratch -Force -ErrorAction SilentlyContinue }
}

function Get-Values($key, $names) {
    try { $open = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey($key.TrimStart('\')) } catch { return @{ state = 'denied' } }
    if ($null -eq $open) { return @{ state = 'absent' } }
    $lines = @("[HKEY_LOCAL_MACHINE$key]")
    foreach ($name in -split $names) {
        $value = $open.GetValue($name)
        if ($value -is [string]) { $lines += """$name""=""$($value.Replace('\', '\\').Replace('"', '\"'))""" }
        elseif ($value -is [int]) { $lines += """$name""=dword:$($value.ToString('x8'))" }
    }
    $open.Close()
    return Get-Lines $lines
}

function Get-Text($path) {
    if (-not (Test-Path -LiteralPath $path)) { return @{ state = 'absent' } }
    try { $text = [IO.File]::ReadAllText($path) } catch { return @{ state = 'denied' } }
    $clear = [regex]::Replace($text, '(?i)(password\s*=\s*")[^"]*', '$1')
    return Get-Lines ($clear -split "`r?`n")
}

function Get-Names($folder) {
    if (-not (Test-Path -LiteralPath $folder)) { return @{ state = 'absent' } }
    try { return Get-Lines @(Get-ChildItem -LiteralPath $folder -File -Force | ForEach-Object { $_.Name }) } catch { return @{ state = 'denied' } }
}

function Get-Tasks($folder) {
    $found = [ordered]@{}
    try {
        foreach ($file in Get-ChildItem -LiteralPath $folder -Recurse -File -Force | Select-Object -First 2000) {
            $found[$file.FullName.Substring($folder.Length)] = Get-Text $file.FullName
        }
    } catch { return [ordered]@{ state = 'denied'; files = @{} } }
    return [ordered]@{ state = 'read'; files = $found }
}

$classes = [ordered]@{
    Win32_OperatingSystem = Get-Class Win32_OperatingSystem @('Version', 'BuildNumber', 'CSDVersion', 'ProductType', 'OperatingSystemSKU', 'OSLanguage', 'Caption')
    Win32_ComputerSystem = Get-Class Win32_ComputerSystem @('Name', 'Domain', 'PartOfDomain', 'Workgroup', 'DomainRole', 'SystemType')
    Win32_DiskDrive = Get-Class Win32_DiskDrive @('Index', 'Size')
    Win32_DiskPartition = Get-Class Win32_DiskPartition @('DeviceID', 'DiskIndex', 'Type')
    Win32_LogicalDiskToPartition = Get-Class Win32_LogicalDiskToPartition @('Antecedent', 'Dependent')
    Win32_LogicalDisk = Get-Class Win32_LogicalDisk @('DeviceID', 'VolumeName', 'FileSystem', 'Size', 'FreeSpace') 'DriveType = 3'
    Win32_Volume = Get-Class Win32_Volume @('DriveLetter', 'Label', 'FileSystem', 'Capacity', 'FreeSpace') 'DriveType = 3'
    Win32_QuickFixEngineering = Get-Class Win32_QuickFixEngineering @('HotFixID', 'InstalledOn')
    Win32_PnPSignedDriver = Get-Class Win32_PnPSignedDriver @('InfName', 'DriverProviderName', 'DriverVersion', 'DriverDate', 'DeviceClass')
    Win32_UserAccount = Get-Class Win32_UserAccount @('Name', 'SID', 'Disabled', 'FullName', 'Description') 'LocalAccount = TRUE'
    Win32_Group = Get-Class Win32_Group @('Name', 'SID', 'Domain', 'Description') 'LocalAccount = TRUE'
    Win32_GroupUser = Get-Members
    WindowsFeature = Get-Table { Get-WindowsFeature | Where-Object { $_.Installed } } @('Name', 'DisplayName')
    Listeners = Get-Listeners
}

$software = '\SOFTWARE\'
$control = '\SYSTEM\CurrentControlSet\Control\'
$services = '\SYSTEM\CurrentControlSet\Services'
$valueKeys = [ordered]@{
    "${software}Microsoft\Windows NT\CurrentVersion" = 'CurrentVersion CurrentBuildNumber CurrentBuild UBR CurrentMajorVersionNumber CurrentMinorVersionNumber ProductName EditionID CSDVersion InstallationType BuildLab BuildLabEx'
    "${software}Microsoft\Windows NT\CurrentVersion\Winlogon" = 'Shell Userinit'
    "${software}Microsoft\Windows NT\CurrentVersion\Windows" = 'AppInit_DLLs'
    "${software}Wow6432Node\Microsoft\Windows NT\CurrentVersion\Windows" = 'AppInit_DLLs'
    "${control}Lsa" = 'LmCompatibilityLevel'
}
$exportKeys = [ordered]@{
    "${software}Microsoft\ServerManager\ServicingStorage\ServerComponentCache" = 1
    "${software}Microsoft\Windows\CurrentVersion\Component Based Servicing\Version" = 1
    "${software}Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending" = 0
    "${software}Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired" = 0
    "${software}Microsoft\SystemCertificates\MY\Certificates" = 1
    "${software}Microsoft\Windows NT\CurrentVersion\Print\Printers" = 1
    "${software}Policies\Microsoft\WindowsFirewall" = 1
    "${control}ProductOptions" = 0
    "${control}ComputerName" = 1
    "${control}Nls\Language" = 0
    "${control}Session Manager\Environment" = 0
    "${control}TimeZoneInformation" = 0
    "${control}Print\Printers" = 1
    "${control}SecurityProviders\SCHANNEL\Protocols" = 2
    "$services\LanmanServer\Parameters" = 0
    "$services\LanmanServer\Shares" = 1
    "$services\LanmanWorkstation\Parameters" = 0
    "$services\Tcpip\Parameters" = 2
    "$services\HTTP\Parameters" = 2
    "$services\SharedAccess\Parameters\FirewallPolicy" = 1
    "$services" = 1
}
foreach ($view in '', 'Wow6432Node\') {
    foreach ($name in 'Uninstall', 'Run', 'RunOnce', 'RunOnceEx') { $exportKeys["${software}${view}Microsoft\Windows\CurrentVersion\$name"] = 1 }
    $exportKeys["${software}${view}ODBC"] = 2
}
$registry = [ordered]@{}
foreach ($key in $valueKeys.Keys) { $registry["HKLM$key"] = Get-Values $key $valueKeys[$key] }
foreach ($key in $exportKeys.Keys) { $registry["HKLM$key"] = Get-Export $key $exportKeys[$key] }

$document = [ordered]@{
    'ferry-collect' = $version
    collector = 'powershell'
    machine = [ordered]@{
        architecture = [string]$env:PROCESSOR_ARCHITECTURE
        emulated = [string]$env:PROCESSOR_ARCHITEW6432
        desktop = Test-Path -LiteralPath (Join-Path $env:SystemRoot 'explorer.exe')
    }
    classes = $classes
    registry = $registry
    files = [ordered]@{
        hosts = Get-Text "$system32\drivers\etc\hosts"
        'applicationHost.config' = Get-Text "$system32\inetsrv\config\applicationHost.config"
        startup = Get-Names "$env:ProgramData\Microsoft\Windows\Start Menu\Programs\Startup"
        tasks = Get-Tasks "$system32\Tasks"
    }
    complete = $true
}
$json = ConvertTo-Json -InputObject $document -Depth 8 -Compress
$ascii = [regex]::Replace($json, '[^\x20-\x7e]', { param($found) '\u{0:x4}' -f [int][char]$found.Value })
if ($OutFile) { [IO.File]::WriteAllText($OutFile, $ascii, [Text.Encoding]::ASCII) } else { Write-Output $ascii }
