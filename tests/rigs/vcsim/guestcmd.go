package main

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"
)

// A guestProgram is what a program in the guest does: it prints Output, takes Seconds, writes File to the path that
// is its last argument, and ends with ExitCode.
type guestProgram struct {
	Output   []byte  `json:"output"` // base64 in JSON
	File     []byte  `json:"file"`
	Seconds  float64 `json:"seconds"`
	ExitCode int32   `json:"exit_code"`
}

// A running program: where it runs, and how it prints.
type guestRun struct {
	ctx   context.Context
	guest *guest
	from  string // its folder
	env   map[string]string
	print func([]byte)
}

// builtinPrograms are in every guest. They get the arguments as the C library of Windows splits them, and the
// arguments as they were written.
var builtinPrograms map[string]func(r *guestRun, args []string, raw string) int32

func init() {
	builtinPrograms = map[string]func(*guestRun, []string, string) int32{
		`C:\Windows\System32\cmd.exe`:     func(r *guestRun, _ []string, raw string) int32 { return r.cmd(raw) },
		`C:\Windows\System32\timeout.exe`: runSleep,
		`C:\Tools\echo.exe`: func(r *guestRun, args []string, _ string) int32 {
			r.print([]byte(strings.Join(args, " ") + "\r\n"))
			return 0
		},
		`C:\Tools\fail.exe`:  func(*guestRun, []string, string) int32 { return 3 },
		`C:\Tools\sleep.exe`: runSleep,
	}
}

// runSleep takes as many seconds as the first number among its arguments says, or 60.
func runSleep(r *guestRun, args []string, _ string) int32 {
	seconds := 60.0
	for _, arg := range args {
		if n, err := strconv.ParseFloat(arg, 64); err == nil {
			seconds = n
			break
		}
	}
	return r.sleep(seconds)
}

func (r *guestRun) sleep(seconds float64) int32 {
	select {
	case <-r.ctx.Done():
		return 1
	case <-time.After(time.Duration(seconds * float64(time.Second))):
		return 0
	}
}

// find is the file of a program, as CreateProcess looks for it; "" where there is none.
func (r *guestRun) find(name string) string {
	r.guest.mu.Lock()
	defer r.guest.mu.Unlock()
	folders := []string{r.from, `C:\Windows\System32`, `C:\Windows`}
	for _, folder := range folders {
		for _, suffix := range []string{"", ".exe"} {
			if entry := r.guest.files.file(guestPath(name+suffix, folder)); entry != nil {
				return entry.path
			}
		}
	}
	return ""
}

// program runs a program of the guest to its end and returns its exit code.
func (r *guestRun) program(path, raw string) int32 {
	args := splitArguments(raw)
	r.guest.mu.Lock()
	planted, ok := r.guest.programs[guestKey(path)]
	r.guest.mu.Unlock()
	if ok {
		return r.planted(planted, args)
	}
	for name, run := range builtinPrograms {
		if guestKey(name) == guestKey(path) {
			return run(r, args, raw)
		}
	}
	r.print([]byte("This file is not a program of the simulated guest.\r\n"))
	return 216 // ERROR_EXE_MACHINE_TYPE_MISMATCH
}

func (r *guestRun) planted(p guestProgram, args []string) int32 {
	r.print(p.Output)
	if r.sleep(p.Seconds) != 0 {
		return 1
	}
	if p.File != nil && len(args) > 0 {
		r.write(args[len(args)-1], p.File, false)
	}
	return p.ExitCode
}

// write stores a file if its folder is there.
func (r *guestRun) write(path string, content []byte, add bool) bool {
	path = guestPath(path, r.from)
	r.guest.mu.Lock()
	defer r.guest.mu.Unlock()
	if !r.guest.files.isFolder(guestParent(path)) || r.guest.files.isFolder(path) {
		return false
	}
	if old := r.guest.files.file(path); add && old != nil {
		content = append(bytes.Clone(old.content), content...)
	}
	r.guest.files.write(path, content)
	return true
}

// splitArguments splits a command line as the C library of Windows does: 2n backslashes and a quote are n
// backslashes, 2n+1 and a quote are n backslashes and the quote.
func splitArguments(line string) []string {
	var args []string
	var arg strings.Builder
	quoted, any, slashes := false, false, 0
	flush := func() {
		if any {
			args = append(args, arg.String())
		}
		arg.Reset()
		any = false
	}
	for _, c := range line {
		switch {
		case c == '\\':
			slashes++
			any = true
			continue
		case c == '"':
			any = true
			arg.WriteString(strings.Repeat(`\`, slashes/2))
			if slashes%2 == 1 {
				arg.WriteRune(c)
			} else {
				quoted = !quoted
			}
			slashes = 0
			continue
		}
		arg.WriteString(strings.Repeat(`\`, slashes))
		slashes = 0
		if (c == ' ' || c == '\t') && !quoted {
			flush()
			continue
		}
		any = true
		arg.WriteRune(c)
	}
	arg.WriteString(strings.Repeat(`\`, slashes))
	flush()
	return args
}
