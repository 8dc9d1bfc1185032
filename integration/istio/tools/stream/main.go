// Command stream is what the node has of a kubelet's API: port-forward and logs, so that kubectl and istioctl can look
// into pods. It is Go because the protocol (SPDY) lives in Kubernetes' own library only.
//
// Usage: stream STATE ADDRESS CERTIFICATE KEY
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
)

type node struct{ state string }

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: stream STATE ADDRESS CERTIFICATE KEY")
		os.Exit(2)
	}
	n := node{state: os.Args[1]}
	mux := http.NewServeMux()
	mux.HandleFunc("/portForward/{namespace}/{pod}", n.portForward)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.logs)
	err := http.ListenAndServeTLS(os.Args[2], os.Args[3], os.Args[4], mux)
	fmt.Fprintln(os.Stderr, "stream:", err)
	os.Exit(1)
}

// directory is where the agent keeps a pod's files.
func (n node) directory(r *http.Request) string {
	return filepath.Join(n.state, "pods", filepath.Base(r.PathValue("namespace"))+"_"+filepath.Base(r.PathValue("pod")))
}

func (n node) portForward(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, n, n.directory(r), "", options, 4*time.Hour, 30*time.Second,
		portforward.SupportedProtocols)
}

// PortForward joins a stream and a port of a pod's own loopback; the pod is named by its directory.
func (n node) PortForward(_ context.Context, directory, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	connection, err := dial(directory, port)
	if err != nil {
		return err
	}
	defer connection.Close()
	go func() {
		io.Copy(connection, stream)
		connection.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(stream, connection)
	return err
}

// dial connects from inside of the pod's network namespace.
func dial(directory string, port int32) (net.Conn, error) {
	specs, err := filepath.Glob(filepath.Join(directory, "*.json"))
	if err != nil || len(specs) == 0 {
		return nil, fmt.Errorf("no such pod: %s", filepath.Base(directory))
	}
	text, err := os.ReadFile(specs[0])
	if err != nil {
		return nil, err
	}
	var spec struct{ Netns string }
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, err
	}
	type dialled struct {
		connection net.Conn
		err        error
	}
	done := make(chan dialled)
	go func() {
		// Never unlocked: the thread has another network now and ends with the goroutine.
		runtime.LockOSThread()
		space, err := os.Open(spec.Netns)
		if err == nil {
			defer space.Close()
			err = unix.Setns(int(space.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			done <- dialled{nil, err}
			return
		}
		connection, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
		done <- dialled{connection, err}
	}()
	result := <-done
	return result.connection, result.err
}

// logs serves a container's output: all of it or its last lines, and what comes if asked to follow.
func (n node) logs(w http.ResponseWriter, r *http.Request) {
	file, err := os.Open(filepath.Join(n.directory(r), filepath.Base(r.PathValue("container"))+".log"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if tail, err := strconv.Atoi(r.FormValue("tailLines")); err == nil {
		lines := strings.SplitAfter(string(text), "\n")
		if keep := tail + 1; len(lines) > keep {
			text = []byte(strings.Join(lines[len(lines)-keep:], ""))
		}
	}
	w.Header().Set("content-type", "text/plain")
	w.Write(text)
	for r.FormValue("follow") == "true" {
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
		if _, err := io.Copy(w, file); err != nil {
			return
		}
	}
}
