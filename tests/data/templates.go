// Makes templates.txt: go run templates.go < FILE, a template a line, as Docker evaluates them: on a struct, else on its JSON.
package main

import (
	"bufio"
	"os"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
)

type EP struct {
	IPAddress         string
	Gateway           string
	IPPrefixLen       int
	GlobalIPv6Address string
	Aliases           []string
	DNSNames          []string
}
type PB struct {
	HostIP   string `json:"HostIp"`
	HostPort string
}
type NS struct {
	SandboxID, SandboxKey string
	Ports                 map[string][]PB
	Networks              map[string]*EP
}
type ST struct {
	Running bool
	Pid     int
	Status  string
}
type C struct {
	ID              string `json:"Id"`
	Name            string
	State           *ST
	Args            []string
	Config          struct{ Labels map[string]string; Cmd []string; Env []string }
	HostConfig      struct{ NetworkMode string }
	NetworkSettings *NS
}

func main() {
	c := &C{ID: "0123456789abcdef0123", Name: "/web", State: &ST{true, 42, "running"}, Args: []string{"-f", "x"}}
	c.Config.Labels = map[string]string{"b": "2", "a": "1"}
	c.Config.Cmd = []string{"sh", "-c", "echo hi"}
	c.HostConfig.NetworkMode = "bridge"
	c.NetworkSettings = &NS{SandboxID: "deadbeef", SandboxKey: "/var/run/docker/netns/deadbeef0123",
		Ports:    map[string][]PB{"80/tcp": {{"0.0.0.0", "8080"}, {"::", "8080"}}, "443/tcp": nil},
		Networks: map[string]*EP{"bridge": {IPAddress: "172.17.0.2", Gateway: "172.17.0.1", IPPrefixLen: 16}}}
	raw, _ := json.Marshal(c)
	fns := template.FuncMap{"json": func(v any) string {
		b := &bytes.Buffer{}
		e := json.NewEncoder(b)
		e.SetEscapeHTML(false)
		e.Encode(v)
		return strings.TrimSpace(b.String())
	}, "split": strings.Split, "join": func(a []string, s string) string { return strings.Join(a, s) }, "title": strings.Title, "lower": strings.ToLower, "upper": strings.ToUpper,
		"pad": func(s string, a, b int) string { if s == "" { return s }; return strings.Repeat(" ", a) + s + strings.Repeat(" ", b) }, "truncate": func(s string, n int) string {
			if len(s) < n {
				return s
			}
			return s[:n]
		}}
	for _, f := range exprs() {
		t, err := template.New("").Funcs(fns).Parse(f)
		if err != nil {
			fmt.Printf("%s\n  => PARSE ERROR: template parsing error: %v\n", f, err)
			continue
		}
		b := &bytes.Buffer{}
		if err := t.Execute(b, c); err != nil {
			var r any
			d := json.NewDecoder(bytes.NewReader(raw))
			d.UseNumber()
			d.Decode(&r)
			b.Reset()
			if err2 := t.Option("missingkey=error").Execute(b, r); err2 != nil {
				fmt.Printf("%s\n  => ERROR: template parsing error: %v\n", f, err2)
			} else {
				fmt.Printf("%s\n  => (raw fallback) %q\n", f, b.String())
			}
			continue
		}
		fmt.Printf("%s\n  => %q\n", f, b.String())
	}
}

func exprs() []string {
	var out []string
	sc := bufio.NewScanner(os.Stdin)
	for sc.Scan() { if sc.Text() != "" { out = append(out, sc.Text()) } }
	return out
}
