package poweroff

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	recording = "../power_off.jsonl"
	obeys     = `system_powerdown: event SHUTDOWN {"guest":true,"reason":"guest-shutdown"} after`
)

// play plays the recording with faults; it returns the path of the monitor.
func play(t *testing.T, faults ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "qmp.sock")
	args := []string{"replay", "--speed", "0", "--listen", path, recording}
	for _, fault := range faults {
		args = append(args, "--fault", fault)
	}
	replay := exec.Command("qmpmux", args...)
	stderr, err := replay.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := replay.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewReader(stderr)
	t.Cleanup(func() {
		replay.Process.Signal(syscall.SIGTERM)
		// The log names each command that was not recorded.
		rest, _ := io.ReadAll(log)
		if err := replay.Wait(); err != nil {
			t.Errorf("%v: %s", err, rest)
		}
	})
	if line, err := log.ReadString('\n'); !strings.Contains(line, "listening on") {
		t.Fatal(line, err)
	}
	return path
}

func TestThatAGuestThatDoesNotObeyIsForced(t *testing.T) {
	if end, err := PowerOff(play(t), 100*time.Millisecond); end != "forced" || err != nil {
		t.Fatal(end, err)
	}
}

func TestThatAGuestThatObeysIsNotForced(t *testing.T) {
	if end, err := PowerOff(play(t, obeys), 10*time.Second); end != "obeyed" || err != nil {
		t.Fatal(end, err)
	}
}

func TestThatTheEndOfQEMUIsAnError(t *testing.T) {
	if end, err := PowerOff(play(t, "system_powerdown: drop"), 10*time.Second); err == nil {
		t.Fatal(end)
	}
}
