package store

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// TestMain lets the test binary be a process that reads a topic back, to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("DWELL_STORE_RECOVERS"); dir != "" {
		if err := recoverUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, "recover:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// recoverUntilKilled says each offset that it has reached.
func recoverUntilKilled(dir string) error {
	s, err := Open(dir, nil, nil)
	if err != nil {
		return err
	}
	s.bulk.most = 20_000
	for {
		if err := s.Bulk(batch(s.Offset() + 1)); err != nil {
			return err
		}
		fmt.Println(s.Offset())
	}
}

// However many batches a recovery has read when it is killed, what is on the disk is the topic up to the
// offset there, and the next one goes on from it.
func TestRecoveryThatIsKilledGoesOn(t *testing.T) {
	dir, lives, furthest := t.TempDir(), 14, int64(-1)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for batches := 1; batches <= lives; batches++ {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), "DWELL_STORE_RECOVERS="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(out)
		for range batches {
			if !said.Scan() {
				t.Fatalf("life %d: it ended by itself: %v", batches, cmd.Wait())
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		reached := int64(-1)
		for ok := true; ok; ok = said.Scan() { // it was faster than the kill
			if _, err := fmt.Sscan(said.Text(), &reached); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Wait() // it was killed, and says so
		s := opened(t, dir)
		at := s.Offset()
		if at > reached+51 || at < furthest { // one batch may have come without a word
			t.Errorf("life %d: offset %d, after %d, reached %d", batches, at, furthest, reached)
		}
		furthest = at
		if got, want := whole(t, s), topic(t, at); got != want {
			t.Fatalf("life %d: %s, want %s", batches, got, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if furthest < int64(lives)*51 {
		t.Errorf("%d lives came to offset %d", lives, furthest)
	}
}
