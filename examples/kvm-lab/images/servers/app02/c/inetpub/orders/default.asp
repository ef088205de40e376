<%@ Language=VBScript %>
<% Option Explicit %>
<html><body><h1>Orders</h1><p>Waiting: <%= CountFiles("C:\OrderBridge\spool") %></p></body></html>
<%
Function CountFiles(folder)
    CountFiles = CreateObject("Scripting.FileSystemObject").GetFolder(folder).Files.Count
End Function
%>
