package main

import (
	"bytes"
	"strings"
	"unicode"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// encode writes a value of the API as XML.
func encode(value any, start xml.StartElement) string {
	var out bytes.Buffer
	e := xml.NewEncoder(&out)
	if err := e.EncodeElement(value, start); err != nil {
		panic(err)
	}
	if err := e.Flush(); err != nil {
		panic(err)
	}
	return out.String()
}

// deepCopy copies a value of the API with all that it points to.
func deepCopy[T any](src T) T {
	data, err := xml.Marshal(src)
	if err != nil {
		panic(err)
	}
	var dst T
	d := xml.NewDecoder(bytes.NewReader(data))
	d.TypeFunc = types.TypeFunc()
	if err = d.Decode(&dst); err != nil {
		panic(err)
	}
	return dst
}

func escape(text string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(text))
	return out.String()
}

// taskName is the name of a method's task: "createSnapshotEx" for "CreateSnapshotEx_Task".
func taskName(method string) string {
	name := []rune(strings.TrimSuffix(method, "_Task"))
	name[0] = unicode.ToLower(name[0])
	return string(name)
}

func ptr[T any](value T) *T {
	return &value
}
