// Records what Go's text/template makes of the templates in go_templates.json:
//
//	go run go_templates.go go_templates.json DATE
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/template"
)

type Message struct {
	Role      string   `json:"role"`
	Content   string   `json:"content"`
	Thinking  string   `json:"-"`
	ToolName  string   `json:"-"`
	Images    []string `json:"-"`
	ToolCalls []string `json:"-"`
}

type Case struct {
	Template string    `json:"template"`
	System   string    `json:"system"`
	Messages []Message `json:"messages"`
	Output   *string   `json:"output"` // null: Go refuses the template, or stops while it runs it
}

func rendered(c Case) *string {
	made, err := template.New("").Option("missingkey=zero").Parse(c.Template)
	if err != nil {
		return nil
	}
	var out strings.Builder
	values := map[string]any{"System": c.System, "Messages": c.Messages, "Tools": []string{}, "Response": "",
		"Think": false, "IsThinkSet": false}
	if made.Execute(&out, values) != nil {
		return nil
	}
	text := out.String()
	return &text
}

func main() {
	var file struct{ Cases []Case }
	read, _ := os.ReadFile(os.Args[1])
	if err := json.Unmarshal(read, &file); err != nil {
		panic(err)
	}
	lines := []string{}
	for _, c := range file.Cases {
		c.Output = rendered(c)
		var line bytes.Buffer
		encoder := json.NewEncoder(&line)
		encoder.SetEscapeHTML(false)
		encoder.Encode(c)
		lines = append(lines, strings.TrimSpace(line.String()))
	}
	text := fmt.Sprintf("{\"recorded\": \"%s on %s\", \"cases\": [\n%s\n]}\n", runtime.Version(), os.Args[2], strings.Join(lines, ",\n"))
	if err := os.WriteFile(os.Args[1], []byte(text), 0o644); err != nil {
		panic(err)
	}
}
