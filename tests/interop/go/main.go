// Two monitors of DigitalOcean's Go client on one QEMU: one watches, one acts. With the argument
// `given`, one runs the commands on standard input, one a line.
//
// Prints the result as JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/digitalocean/go-qemu/qmp"
)

type outcome struct {
	Version      string            `json:"version"`
	Capabilities []string          `json:"capabilities"`
	Replies      map[string]string `json:"replies"`
	Refused      []string          `json:"refused"`
	Watched      []string          `json:"watched"`
	Dated        bool              `json:"dated"`
	Closed       bool              `json:"closed"`
	AfterClose   string            `json:"afterClose"`
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func connect(path string) *qmp.SocketMonitor {
	monitor, err := qmp.NewSocketMonitor("unix", path, 20*time.Second)
	must(err)
	must(monitor.Connect())
	return monitor
}

// Runs the commands on standard input; returns the number of errors.
func given(monitor *qmp.SocketMonitor) int {
	refused := 0
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if _, err := monitor.Run(lines.Bytes()); err != nil {
			refused++
		}
	}
	must(lines.Err())
	must(monitor.Disconnect())
	return refused
}

func main() {
	if len(os.Args) > 2 && os.Args[2] == "given" {
		refused := given(connect(os.Args[1]))
		must(json.NewEncoder(os.Stdout).Encode(map[string]int{"refused": refused}))
		return
	}
	watcher, actor := connect(os.Args[1]), connect(os.Args[1])
	result := outcome{
		Version:      watcher.Version.String(),
		Capabilities: watcher.Capabilities,
		Replies:      map[string]string{},
		Dated:        true,
	}

	events, err := watcher.Events(context.Background())
	must(err)
	watched := make(chan bool)
	go func() {
		for event := range events {
			result.Watched = append(result.Watched, event.Event)
			result.Dated = result.Dated && event.Timestamp.Seconds > 0
			if event.Event == "STOP" {
				watched <- true
			}
		}
		watched <- false
	}()

	run := func(monitor *qmp.SocketMonitor, name string, command string) {
		reply, err := monitor.Run([]byte(command))
		must(err)
		result.Replies[name] = string(reply)
	}
	run(actor, "cont", `{"execute": "cont"}`)
	run(actor, "running", `{"execute": "query-status"}`)
	run(actor, "stop", `{"execute": "stop"}`)
	<-watched
	run(watcher, "stopped", `{"execute": "query-status", "id": "seven"}`)
	for _, command := range []string{
		`{"execute": "no-such-command"}`,
		`{"execute": "device_del", "arguments": {"id": "nope"}}`,
		`{"execute": "query-name", "odd": 1}`,
	} {
		_, err := actor.Run([]byte(command))
		if err == nil {
			must(fmt.Errorf("%s was not refused", command))
		}
		result.Refused = append(result.Refused, err.Error())
	}

	must(actor.Disconnect())
	_, err = actor.Run([]byte(`{"execute": "query-name"}`))
	if err != nil {
		result.AfterClose = "error"
	}
	run(watcher, "other", `{"execute": "query-name"}`)
	run(watcher, "quit", `{"execute": "quit"}`)
	result.Closed = !<-watched
	must(json.NewEncoder(os.Stdout).Encode(result))
}
