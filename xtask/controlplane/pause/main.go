// Command pause does nothing, as process 1: it holds namespaces open, buries orphans and ends on SIGTERM or SIGINT.
//
// It is the pause image of the lab's pods, and the init of each of its hosts: ending it ends
// everything in its PID namespace at once, which is what pulling a plug does.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		// One SIGCHLD may stand for several children.
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 && err != syscall.EINTR {
				break
			}
		}
	}
}
