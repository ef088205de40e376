package main

import (
	"strconv"
	"strings"
)

// cmd is the guest's cmd.exe with the arguments as written: [/d] [/s] [/q] /c COMMAND.
func (r *guestRun) cmd(raw string) int32 {
	rest := strings.TrimSpace(raw)
	strip := false
	for strings.HasPrefix(rest, "/") && len(rest) > 1 {
		option := strings.ToLower(rest[1:2])
		rest = strings.TrimLeft(rest[2:], " ")
		strip = strip || option == "s"
		if option == "c" {
			return r.shell(r.unquoted(rest, strip))
		}
	}
	r.print([]byte("Only cmd.exe /c is simulated.\r\n"))
	return 1
}

// unquoted takes the quotes around the command of /c off, as `cmd /?` says: always with /s; else unless there are
// exactly two, with no special character and at least one space between them, and they name a program.
func (r *guestRun) unquoted(line string, strip bool) string {
	if !strings.HasPrefix(line, `"`) {
		return line
	}
	end := strings.LastIndex(line, `"`)
	if end == 0 {
		return line[1:]
	}
	inner := line[1:end]
	plain := strings.Count(line, `"`) == 2 && !strings.ContainsAny(line, `&<>()@^|`) && strings.Contains(inner, " ")
	if !strip && plain && r.find(inner) != "" {
		return line
	}
	return inner + line[end+1:]
}

// A shellCommand is one command of a line, with where its output goes and when it runs.
type shellCommand struct {
	text string
	out  string // a file, "" for none
	err  string
	add  bool   // >>
	when string // "&", "&&", "||": how it follows on the one before
}

// parseShell splits a line of cmd.exe into its commands. ^ and quotes protect the special characters.
func parseShell(line string) []shellCommand {
	var all []shellCommand
	one, quoted := shellCommand{when: "&"}, false
	var text strings.Builder
	end := func(next string) {
		one.text = strings.TrimSpace(text.String())
		all = append(all, one)
		one = shellCommand{when: next}
		text.Reset()
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '"':
			quoted = !quoted
			text.WriteByte(c)
		case quoted:
			text.WriteByte(c)
		case c == '^':
			if i++; i < len(line) {
				text.WriteByte(line[i])
			}
		case c == '&' || c == '|':
			next := string(c)
			if i+1 < len(line) && line[i+1] == c {
				next += string(c)
				i++
			}
			end(next)
		case c == '>' || c == '<':
			i = redirect(line, i, &one, &text)
		default:
			text.WriteByte(c)
		}
	}
	end("")
	return all
}

// redirect reads a redirection whose > or < is at i, and returns the index of its last character.
func redirect(line string, i int, one *shellCommand, text *strings.Builder) int {
	direction, stream := line[i], "1"
	if before := text.String(); direction == '>' && i > 0 && strings.HasSuffix(before, string(line[i-1])) {
		// A digit is the stream's number only if it is a word of its own.
		word := before[strings.LastIndexAny(before, " \t")+1:]
		if word == "1" || word == "2" {
			stream = word
			text.Reset()
			text.WriteString(strings.TrimSuffix(before, word))
		}
	}
	add := i+1 < len(line) && line[i+1] == '>'
	if add {
		i++
	}
	rest := line[i+1:]
	target := strings.TrimLeft(rest, " ")
	skipped := len(rest) - len(target)
	var name string
	if strings.HasPrefix(target, "&") {
		name = target[:min(2, len(target))]
		i += skipped + len(name)
	} else if strings.HasPrefix(target, `"`) {
		name = target[1:]
		if stop := strings.Index(name, `"`); stop >= 0 {
			name = name[:stop]
		}
		i += skipped + min(len(name)+2, len(target))
	} else {
		name = target
		if stop := strings.IndexAny(name, " \t&|<>"); stop >= 0 {
			name = name[:stop]
		}
		i += skipped + len(name)
	}
	switch {
	case direction == '<':
	case stream == "2":
		one.err = name
	default:
		one.out, one.add = name, add
	}
	return i
}

// shell runs a line of cmd.exe and returns the exit code of its last command.
func (r *guestRun) shell(line string) int32 {
	var code int32
	for _, one := range parseShell(r.expand(line)) {
		switch {
		case one.when == "|":
			r.print([]byte("Pipes are not simulated.\r\n"))
			return 1
		case one.when == "&&" && code != 0, one.when == "||" && code == 0, one.text == "" && one.out == "":
			continue
		}
		code = r.redirected(one)
	}
	return code
}

// expand puts the values of variables in the place of %NAME%.
func (r *guestRun) expand(line string) string {
	var done strings.Builder
	for {
		before, rest, found := strings.Cut(line, "%")
		done.WriteString(before)
		if !found {
			return done.String()
		}
		name, after, closed := strings.Cut(rest, "%")
		value, known := r.env[strings.ToUpper(name)]
		if !closed || !known {
			done.WriteString("%")
			line = rest
			continue
		}
		done.WriteString(value)
		line = after
	}
}

func (r *guestRun) redirected(one shellCommand) int32 {
	if one.out == "" || strings.EqualFold(one.out, "nul") {
		quiet := *r
		if one.out != "" {
			quiet.print = func([]byte) {}
		}
		return quiet.command(one.text)
	}
	if !r.write(one.out, nil, one.add) {
		r.print([]byte("The system cannot find the path specified.\r\n"))
		return 1
	}
	inner := *r
	inner.print = func(data []byte) { r.write(one.out, data, true) }
	return inner.command(one.text)
}

// command runs one command without operators: one of the shell's own, or a program.
func (r *guestRun) command(text string) int32 {
	text = strings.TrimLeft(text, " @(")
	name, rest := firstWord(text)
	args := splitArguments(rest)
	switch strings.ToLower(name) {
	case "":
		return 0
	case "echo":
		r.print([]byte(strings.TrimPrefix(rest, " ") + "\r\n"))
		return 0
	case "exit":
		code, _ := strconv.Atoi(strings.TrimSpace(strings.ReplaceAll(rest, "/b", "")))
		return int32(code)
	case "rem", "call", "ver":
		return 0
	case "type", "del", "erase", "md", "mkdir", "rd", "rmdir":
		return r.onFiles(strings.ToLower(name), args)
	}
	path := r.find(name)
	if path == "" {
		r.print([]byte("'" + name + "' is not recognized as an internal or external command,\r\n" +
			"operable program or batch file.\r\n"))
		return 1
	}
	return r.program(path, strings.TrimSpace(rest))
}

// onFiles runs a command of the shell on files, whose options are ignored.
func (r *guestRun) onFiles(name string, args []string) int32 {
	var code int32
	for _, arg := range args {
		if !strings.HasPrefix(arg, "/") && !r.onFile(name, guestPath(arg, r.from)) {
			r.print([]byte("The system cannot find the file specified.\r\n"))
			if name != "del" && name != "erase" { // which end with 0 all the same
				code = 1
			}
		}
	}
	return code
}

func (r *guestRun) onFile(name, path string) bool {
	r.guest.mu.Lock()
	entry := r.guest.files.get(path)
	ok := entry != nil
	switch name {
	case "md", "mkdir":
		ok = entry == nil
		r.guest.files.mkdirAll(path)
	case "rd", "rmdir":
		if ok = ok && entry.folder; ok {
			r.guest.files.remove(path)
		}
	case "del", "erase":
		if ok && !entry.folder {
			r.guest.files.remove(path)
		}
	}
	r.guest.mu.Unlock()
	if name == "type" && ok {
		r.print(entry.content)
	}
	return ok
}

// firstWord splits a command into its name, without quotes, and the rest as written.
func firstWord(text string) (name, rest string) {
	if strings.HasPrefix(text, `"`) {
		name, rest, _ = strings.Cut(text[1:], `"`)
		return name, rest
	}
	stop := strings.IndexAny(text, " \t/")
	if stop < 0 {
		return text, ""
	}
	return text[:stop], text[stop:]
}
