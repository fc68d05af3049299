package heartbeat

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// dialIn returns a dialler whose sockets belong to the network namespace at path.
func dialIn(path string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		type result struct {
			conn net.Conn
			err  error
		}
		done := make(chan result, 1)
		go func() {
			// Never unlocked: a thread that has left its namespace must end with its goroutine.
			runtime.LockOSThread()
			namespace, err := os.Open(path)
			if err != nil {
				done <- result{err: err}
				return
			}
			defer namespace.Close()
			if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
				done <- result{err: fmt.Errorf("enter %s: %w", path, err)}
				return
			}
			conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, network, address)
			done <- result{conn, err}
		}()
		r := <-done
		return r.conn, r.err
	}
}
