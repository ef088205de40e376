' Tells what this Windows server is and does, as one JSON document in ASCII. For Windows Server 2008.
'
'   cscript //nologo ferry-collect.vbs > facts.json      (or: cscript //nologo ferry-collect.vbs facts.json)
'
' It only reads: WMI, registry keys by "reg export", a few files, netstat. What it writes is its output and one
' temporary file, which it deletes. It never asks for Win32_Product, reads no password hash, and leaves out
' values whose name speaks of a password. Run it as an administrator with the 64-bit cscript of a 64-bit
' Windows; what it may not see it reports as such. Bring the output to: ferry inventory --import facts.json
'
' Coded around what old or other script hosts lack: each error is looked at right after the call.
Option Explicit

Const VERSION = 1
Const MAX_OUTPUT = 25165824
Const MAX_FILE = 67108864
Const MAX_TASKS = 2000
Const LOCAL_MACHINE = "HKEY_LOCAL_MACHINE"

Dim fso, shell, wmi, output, toFile, spent, scratch, odd, secret, password, processes
Set fso = CreateObject("Scripting.FileSystemObject")
Set shell = CreateObject("WScript.Shell")
Set processes = CreateObject("Scripting.Dictionary")
Set odd = New RegExp
odd.Global = True
odd.Pattern = "[^\x20-\x7e]"
Set secret = New RegExp
secret.IgnoreCase = True
secret.Pattern = "^""[^""]*(password|passwd|passphrase|pwd|secret)[^""]*""="
Set password = New RegExp
password.Global = True
password.IgnoreCase = True
password.Pattern = "(password\s*=\s*"")[^""]*"
spent = 0

Main
WScript.Quit 0

Sub Main()
    toFile = (WScript.Arguments.Count > 0)
    scratch = fso.GetSpecialFolder(2) & "\ferry-" & fso.GetTempName()
    If toFile Then
        scratch = WScript.Arguments(0) & ".tmp"
        Set output = fso.CreateTextFile(WScript.Arguments(0), True, False)
    End If
    Emit "{""ferry-collect"": " & VERSION & ", ""collector"": ""cscript"","
    Emit """machine"": {""architecture"": " & Q(Variable("PROCESSOR_ARCHITECTURE")) & _
        ", ""emulated"": " & Q(Variable("PROCESSOR_ARCHITEW6432")) & _
        ", ""desktop"": " & Flag(fso.FileExists(Variable("SystemRoot") & "\explorer.exe")) & "},"
    Classes
    Registry
    Files
    Emit """complete"": true}"
    If toFile Then output.Close
    DeleteScratch
End Sub

' Output ------------------------------------------------------------------------------------------------------

Sub Emit(text)
    spent = spent + Len(text) + 2
    If toFile Then
        output.WriteLine text
    Else
        WScript.Echo text
    End If
End Sub

Function Q(value)
    Dim text
    text = Replace(Replace(CStr(value), "\", "\\"), """", "\""")
    If odd.Test(text) Then text = Escaped(text)
    Q = """" & text & """"
End Function

Function Escaped(text)
    Dim found, at
    Escaped = ""
    at = 1
    For Each found In odd.Execute(text)
        Escaped = Escaped & Mid(text, at, found.FirstIndex + 1 - at) & "\u" & Right("000" & Hex(CodeOf(found.Value)), 4)
        at = found.FirstIndex + 2
    Next
    Escaped = Escaped & Mid(text, at)
End Function

Function CodeOf(character)
    On Error Resume Next
    CodeOf = AscW(character)
    If Err.Number <> 0 Then
        ' No AscW here: the code page's number is right below 256, but for the stretch that code pages fill.
        Err.Clear
        CodeOf = Asc(character)
        If Err.Number <> 0 Or CodeOf < 0 Or CodeOf > 255 Or (CodeOf > 126 And CodeOf < 160) Then CodeOf = &HFFFD&
    End If
    If CodeOf < 0 Then CodeOf = CodeOf + 65536
End Function

Sub EmitLines(head, lines, tail)
    Dim i, size, last
    last = UBound(lines)
    size = 0
    For i = 0 To last
        size = size + Len(lines(i)) + 4
    Next
    If spent + size > MAX_OUTPUT Then
        Emit head & """state"": ""too large""}" & tail
        Exit Sub
    End If
    Emit head & """state"": ""read"", ""lines"": ["
    For i = 0 To last
        If i < last Then
            Emit Q(lines(i)) & ","
        Else
            Emit Q(lines(i))
        End If
    Next
    Emit "]}" & tail
End Sub

' WMI ---------------------------------------------------------------------------------------------------------

Sub Classes()
    Dim failure
    failure = Connected()
    Emit """classes"": {"
    Rows failure, "Win32_OperatingSystem", "Version BuildNumber CSDVersion ProductType OperatingSystemSKU OSLanguage Caption", ""
    Rows failure, "Win32_ComputerSystem", "Name Domain PartOfDomain Workgroup DomainRole SystemType", ""
    Rows failure, "Win32_DiskDrive", "Index Size", ""
    Rows failure, "Win32_DiskPartition", "DeviceID DiskIndex Type", ""
    Rows failure, "Win32_LogicalDiskToPartition", "Antecedent Dependent", ""
    Rows failure, "Win32_LogicalDisk", "DeviceID VolumeName FileSystem Size FreeSpace", " WHERE DriveType = 3"
    Rows failure, "Win32_Volume", "DriveLetter Label FileSystem Capacity FreeSpace", " WHERE DriveType = 3"
    Rows failure, "Win32_QuickFixEngineering", "HotFixID InstalledOn", ""
    Rows failure, "Win32_ServerFeature", "ID ParentID Name", ""
    Rows failure, "Win32_PnPSignedDriver", "InfName DriverProviderName DriverVersion DriverDate DeviceClass", ""
    Rows failure, "Win32_UserAccount", "Name SID Disabled FullName Description", " WHERE LocalAccount = TRUE"
    Rows failure, "Win32_Group", "Name SID Domain Description", " WHERE LocalAccount = TRUE"
    Members failure
    NameProcesses failure
    Listeners
    Emit "},"
End Sub

Function Connected()
    On Error Resume Next
    Set wmi = GetObject("winmgmts:\\.\root\cimv2")
    Connected = ""
    If Err.Number <> 0 Then Connected = "WMI cannot be reached (0x" & Hex(Err.Number) & ")"
End Function

Function Asked(query, found)
    On Error Resume Next
    Dim count
    Set found = wmi.ExecQuery(query)
    count = found.Count
    Asked = ""
    If Err.Number <> 0 Then Asked = "0x" & Hex(Err.Number)
End Function

Sub Rows(failure, name, columns, condition)
    Dim found, problem, item, comma
    problem = failure
    If problem = "" Then problem = Asked("SELECT * FROM " & name & condition, found)
    If problem <> "" Then
        Emit Q(name) & ": {""error"": " & Q(problem) & "},"
        Exit Sub
    End If
    Emit Q(name) & ": {""count"": " & found.Count & ", ""rows"": ["
    comma = " "
    For Each item In found
        Emit comma & Row(item, Split(columns, " "))
        comma = ","
    Next
    Emit "]},"
End Sub

Function Row(item, columns)
    Dim column, comma
    Row = "{"
    comma = ""
    For Each column In columns
        Row = Row & comma & Q(column) & ": " & Cell(item, column)
        comma = ", "
    Next
    Row = Row & "}"
End Function

Function Cell(item, column)
    On Error Resume Next
    Dim value
    Cell = "null"
    value = item.Properties_.Item(column).Value
    If Err.Number = 0 And Not IsNull(value) And Not IsArray(value) Then
        If VarType(value) = vbBoolean Then
            Cell = Flag(value)
        Else
            Cell = Q(value)
        End If
    End If
End Function

' One query for each group: one for all would also ask the domain for its groups.
Sub Members(failure)
    Dim found, people, item, person, problem, comma, count, query
    problem = failure
    If problem = "" Then problem = Asked("SELECT * FROM Win32_Group WHERE LocalAccount = TRUE", found)
    If problem <> "" Then
        Emit """Win32_GroupUser"": {""error"": " & Q(problem) & "},"
        Exit Sub
    End If
    Emit """Win32_GroupUser"": {""rows"": ["
    comma = " "
    count = 0
    For Each item In found
        query = "SELECT * FROM Win32_GroupUser WHERE GroupComponent = ""Win32_Group.Domain='" & item.Domain & _
            "',Name='" & item.Name & "'"""
        problem = Asked(query, people)
        If problem <> "" Then
            Emit comma & "{""Group"": " & Q(item.Name) & ", ""Error"": " & Q(problem) & "}"
            comma = ","
            count = count + 1
        Else
            For Each person In people
                Emit comma & "{""Group"": " & Q(item.Name) & ", ""Member"": " & Cell(person, "PartComponent") & "}"
                comma = ","
                count = count + 1
            Next
        End If
    Next
    Emit "], ""count"": " & count & "},"
End Sub

Sub NameProcesses(failure)
    Dim found, item
    If failure <> "" Then Exit Sub
    If Asked("SELECT ProcessId, Name FROM Win32_Process", found) <> "" Then Exit Sub
    For Each item In found
        processes(CStr(item.ProcessId)) = CStr(item.Name)
    Next
End Sub

' Words of netstat differ by language; that nobody is at the other end (":0", "*:*") does not.
Sub Listeners()
    Dim lines, line, words, comma, count, owner
    If Run("netstat -ano > """ & scratch & """") <> 0 Then
        Emit """Listeners"": {""error"": ""netstat failed""}"
        Exit Sub
    End If
    Emit """Listeners"": {""rows"": ["
    comma = " "
    count = 0
    For Each line In AllLines(scratch, 0)
        words = Split(OneSpaced(Trim(line)), " ")
        If UBound(words) >= 2 Then
            If (words(0) = "TCP" And Right(words(2), 2) = ":0") Or (words(0) = "UDP" And words(2) = "*:*") Then
                owner = ""
                If processes.Exists(words(UBound(words))) Then owner = processes(words(UBound(words)))
                Emit comma & "{""Protocol"": " & Q(words(0)) & ", ""Local"": " & Q(words(1)) & _
                    ", ""Process"": " & Q(owner) & "}"
                comma = ","
                count = count + 1
            End If
        End If
    Next
    Emit "], ""count"": " & count & "}"
End Sub

Function OneSpaced(ByVal text)
    Do While InStr(text, "  ") > 0
        text = Replace(text, "  ", " ")
    Loop
    OneSpaced = text
End Function

' Registry ----------------------------------------------------------------------------------------------------

Sub Registry()
    Const SOFTWARE = "\SOFTWARE\", CONTROL = "\SYSTEM\CurrentControlSet\Control\", SERVICES = "\SYSTEM\CurrentControlSet\Services"
    Dim view
    Emit """registry"": {"
    Values SOFTWARE & "Microsoft\Windows NT\CurrentVersion", "CurrentVersion CurrentBuildNumber CurrentBuild UBR " & _
        "CurrentMajorVersionNumber CurrentMinorVersionNumber ProductName EditionID CSDVersion InstallationType BuildLab BuildLabEx"
    Values SOFTWARE & "Microsoft\Windows NT\CurrentVersion\Winlogon", "Shell Userinit"
    Values SOFTWARE & "Microsoft\NET Framework Setup\NDP\v3.5", "Install"
    Values SOFTWARE & "Microsoft\PowerShell\1", "Install"
    Values CONTROL & "Lsa", "LmCompatibilityLevel"
    For Each view In Array("", "Wow6432Node\")
        Values SOFTWARE & view & "Microsoft\Windows NT\CurrentVersion\Windows", "AppInit_DLLs"
        Export SOFTWARE & view & "Microsoft\Windows\CurrentVersion\Uninstall", 1
        Export SOFTWARE & view & "Microsoft\Windows\CurrentVersion\Run", 1
        Export SOFTWARE & view & "Microsoft\Windows\CurrentVersion\RunOnce", 1
        Export SOFTWARE & view & "Microsoft\Windows\CurrentVersion\RunOnceEx", 1
        Export SOFTWARE & view & "ODBC", 2
    Next
    Export SOFTWARE & "Microsoft\InetStp\Components", 0
    Export SOFTWARE & "Policies\Microsoft\WindowsFirewall", 1
    Export SOFTWARE & "Microsoft\Windows NT\CurrentVersion\Print\Printers", 1
    Export SOFTWARE & "Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired", 0
    Export SOFTWARE & "Microsoft\ServerManager\ServicingStorage\ServerComponentCache", 1
    Export SOFTWARE & "Microsoft\Windows\CurrentVersion\Component Based Servicing\Version", 1
    Export SOFTWARE & "Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending", 0
    Export SOFTWARE & "Microsoft\SystemCertificates\MY\Certificates", 1
    Export CONTROL & "ProductOptions", 0
    Export CONTROL & "ComputerName", 1
    Export CONTROL & "Nls\Language", 0
    Export CONTROL & "Session Manager\Environment", 0
    Export CONTROL & "TimeZoneInformation", 0
    Export CONTROL & "Print\Printers", 1
    Export CONTROL & "SecurityProviders\SCHANNEL\Protocols", 2
    Export SERVICES & "\LanmanServer\Parameters", 0
    Export SERVICES & "\LanmanServer\Shares", 1
    Export SERVICES & "\LanmanWorkstation\Parameters", 0
    Export SERVICES & "\Tcpip\Parameters", 2
    Export SERVICES & "\HTTP\Parameters", 2
    Export SERVICES & "\SharedAccess\Parameters\FirewallPolicy", 1
    Export SERVICES, 1
    Emit """end"": {""state"": ""read"", ""lines"": []}"
    Emit "},"
End Sub

' Some values of a key whose subkeys are too many to export.
Sub Values(key, names)
    Dim name, lines, value, kind
    lines = "[" & LOCAL_MACHINE & key & "]"
    For Each name In Split(names, " ")
        If ReadValue("HKLM" & key & "\" & name, value) Then
            kind = VarType(value)
            If kind = vbString Then
                lines = lines & vbCrLf & """" & name & """=""" & Replace(Replace(value, "\", "\\"), """", "\""") & """"
            ElseIf kind = vbLong Or kind = vbInteger Then
                lines = lines & vbCrLf & """" & name & """=dword:" & Right("0000000" & Hex(value), 8)
            End If
        End If
    Next
    EmitLines Q("HKLM" & key) & ": {", Split(lines, vbCrLf), ","
End Sub

Function ReadValue(path, value)
    On Error Resume Next
    value = shell.RegRead(path)
    ReadValue = (Err.Number = 0)
End Function

' A key with `depth` levels below it.
Sub Export(key, depth)
    Dim head, lines
    head = Q("HKLM" & key) & ": {"
    DeleteScratch
    If Run("reg export ""HKLM" & key & """ """ & scratch & """ /y > nul 2>&1") <> 0 Then
        Emit head & """state"": " & Q(Missing(key)) & "},"
    ElseIf fso.GetFile(scratch).Size > MAX_FILE Then
        Emit head & """state"": ""too large""},"
    Else
        lines = TextLines(scratch, -1)
        If IsArray(lines) Then
            EmitLines head, Kept(lines, key, depth), ","
        Else
            Emit head & """state"": ""denied""},"
        End If
    End If
    DeleteScratch
End Sub

' Lines of the keys that are wanted, without values that are secrets.
Function Kept(lines, key, depth)
    Dim line, wanted, dropping, all, count, levels
    levels = UBound(Split(LOCAL_MACHINE & key, "\")) + depth
    wanted = False
    dropping = False
    all = lines
    count = 0
    For Each line In lines
        If Left(line, 1) = "[" Then
            wanted = (UBound(Split(line, "\")) <= levels Or InStr(line, "\TriggerInfo\") > 0)
            dropping = False
        ElseIf Left(line, 1) = """" Then
            dropping = secret.Test(line)
        ElseIf Left(line, 1) = "@" Then
            dropping = False
        End If
        If wanted And Not dropping And line <> "" Then
            all(count) = line
            count = count + 1
        End If
    Next
    If count = 0 Then
        Kept = Array()
    Else
        ReDim Preserve all(count - 1)
        Kept = all
    End If
End Function

' Why a key could not be exported: its parent does not list it, or it may not be read.
Function Missing(key)
    Dim parent, line, wanted
    parent = Left(key, InStrRev(key, "\") - 1)
    Missing = "denied"
    If parent = "" Then Exit Function
    If Run("reg query ""HKLM" & parent & """ > """ & scratch & """ 2> nul") <> 0 Then
        Missing = Missing(parent)
        Exit Function
    End If
    wanted = LCase(Mid(key, InStrRev(key, "\")))
    For Each line In AllLines(scratch, 0)
        If LCase(Right(RTrim(line), Len(wanted))) = wanted Then Exit Function
    Next
    Missing = "absent"
End Function

' Files -------------------------------------------------------------------------------------------------------

Sub Files()
    Dim system
    system = Variable("SystemRoot") & "\System32"
    Emit """files"": {"
    File "hosts", system & "\drivers\etc\hosts"
    File "applicationHost.config", system & "\inetsrv\config\applicationHost.config"
    Names "startup", Variable("ProgramData") & "\Microsoft\Windows\Start Menu\Programs\Startup"
    Tasks system & "\Tasks"
    Emit "},"
End Sub

Sub File(name, path)
    Dim text
    If Not fso.FileExists(path) Then
        Emit Q(name) & ": {""state"": ""absent""},"
        Exit Sub
    End If
    text = FileText(path, 0)
    If IsEmpty(text) Then
        Emit Q(name) & ": {""state"": ""denied""},"
        Exit Sub
    End If
    text = password.Replace(Replace(text, vbCrLf, vbLf), "$1")
    EmitLines Q(name) & ": {", Split(text, vbLf), ","
End Sub

Sub Names(name, folder)
    On Error Resume Next
    Dim item, found
    If Not fso.FolderExists(folder) Then
        Emit Q(name) & ": {""state"": ""absent""},"
        Exit Sub
    End If
    found = ""
    For Each item In fso.GetFolder(folder).Files
        found = found & "|" & item.Name
    Next
    If Err.Number <> 0 Then
        Emit Q(name) & ": {""state"": ""denied""},"
    Else
        EmitLines Q(name) & ": {", Split(Mid(found, 2), "|"), ","
    End If
End Sub

Sub Tasks(folder)
    Dim paths, path, comma, lines, state
    paths = ""
    state = TaskPaths(folder, paths, 0)
    Emit """tasks"": {""state"": " & Q(state) & ", ""files"": {"
    comma = " "
    If state = "read" And paths <> "" Then
        For Each path In Split(Mid(paths, 2), "|")
            lines = TextLines(folder & path, -1)
            If IsArray(lines) Then
                EmitLines comma & Q(path) & ": {", lines, ""
            Else
                Emit comma & Q(path) & ": {""state"": ""denied""}"
            End If
            comma = ","
        Next
    End If
    Emit "}}"
End Sub

' Adds the paths below `folder` of all task files to `paths`, each after a bar, which no name holds.
Function TaskPaths(folder, paths, depth)
    On Error Resume Next
    Dim item, top, state
    TaskPaths = "absent"
    If Not fso.FolderExists(folder) Then Exit Function
    TaskPaths = "denied"
    Set top = fso.GetFolder(folder)
    For Each item In top.Files
        If UBound(Split(paths, "|")) < MAX_TASKS Then paths = paths & "|" & Mid(item.Path, InStr(LCase(item.Path), "\system32\tasks") + 15)
    Next
    If Err.Number <> 0 Then Exit Function
    For Each item In top.SubFolders
        If depth < 16 Then
            state = TaskPaths(item.Path, paths, depth + 1)
            If state = "denied" Then Exit Function
        End If
    Next
    If Err.Number = 0 Then TaskPaths = "read"
End Function

' Helpers -----------------------------------------------------------------------------------------------------

Function Variable(name)
    ' Some hosts leave the text's end mark in.
    Variable = Replace(shell.ExpandEnvironmentStrings("%" & name & "%"), Chr(0), "")
    If Variable = "%" & name & "%" Then Variable = ""
End Function

Function Flag(value)
    If value Then
        Flag = "true"
    Else
        Flag = "false"
    End If
End Function

Function Run(command)
    On Error Resume Next
    Run = -1
    Run = shell.Run("%COMSPEC% /d /c " & command, 0, True)
End Function

' A text file's content; encoding -1 is UTF-16, 0 the code page. No text at all (Empty) where it cannot be read.
Function FileText(path, encoding)
    On Error Resume Next
    Dim stream, text
    text = ""
    ' Not by AtEndOfStream, which spoils the next read on some hosts.
    If fso.GetFile(path).Size > 0 Then
        Set stream = fso.OpenTextFile(path, 1, False, encoding)
        text = stream.ReadAll
        stream.Close
    End If
    If Err.Number = 0 Then FileText = text
End Function

' Its lines; no array where it cannot be read.
Function TextLines(path, encoding)
    Dim text
    text = FileText(path, encoding)
    If Not IsEmpty(text) Then TextLines = Split(Replace(text, vbCrLf, vbLf), vbLf)
End Function

Function AllLines(path, encoding)
    Dim lines
    lines = TextLines(path, encoding)
    If IsArray(lines) Then
        AllLines = lines
    Else
        AllLines = Array()
    End If
End Function

Sub DeleteScratch()
    On Error Resume Next
    If fso.FileExists(scratch) Then fso.DeleteFile scratch, True
End Sub
