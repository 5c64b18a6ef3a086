// Package poweroff powers a VM off; power_off_test.go tests it without a VM.
package poweroff

import (
	"context"
	"time"

	"github.com/digitalocean/go-qemu/qmp"
)

// PowerOff powers a VM off, and ends QEMU if the guest does not obey in time.
func PowerOff(path string, patience time.Duration) (string, error) {
	monitor, err := qmp.NewSocketMonitor("unix", path, 10*time.Second)
	if err != nil {
		return "", err
	}
	if err := monitor.Connect(); err != nil {
		return "", err
	}
	defer monitor.Disconnect()
	events, err := monitor.Events(context.Background())
	if err != nil {
		return "", err
	}
	down := make(chan bool, 1)
	go func() {
		for event := range events {
			if event.Event == "SHUTDOWN" {
				down <- true
			}
		}
	}()
	if _, err := monitor.Run([]byte(`{"execute": "system_powerdown"}`)); err != nil {
		return "", err
	}
	select {
	case <-down:
		return "obeyed", nil
	case <-time.After(patience):
		_, err := monitor.Run([]byte(`{"execute": "quit"}`))
		return "forced", err
	}
}
