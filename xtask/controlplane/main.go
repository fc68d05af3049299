// Command controlplane is every Kubernetes program of the lab in one binary.
//
// It acts as the program whose name it is called by (a symbolic link), or as the one that its first argument names:
//
//	controlplane kube-apiserver --etcd-servers=…
//	ln -s controlplane kubectl && ./kubectl get nodes
//
// One binary is a third of the size of separate ones, and links once.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	_ "time/tzdata" // CronJobs may name a time zone.

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"ferrolb.io/controlplane/heartbeat"
	"ferrolb.io/controlplane/signingkey"
)

// programs maps the name of a program to what runs it; each returns only when the program has ended.
var programs = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"kube-apiserver":          component(apiserver.NewAPIServerCommand),
	"kube-controller-manager": component(controllermanager.NewControllerManagerCommand),
	"kube-proxy":              component(proxy.NewProxyCommand),
	"kube-scheduler":          component(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubelet":                 component(func() *cobra.Command { return kubeletCommand(kubelet.NewKubeletCommand) }),
	"kubectl":                 kubectl,
	"heartbeat":               fallible(heartbeat.Run),
	"signing-key":             fallible(signingkey.Run),
}

func main() {
	name := filepath.Base(os.Args[0])
	if _, known := programs[name]; !known && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		name = os.Args[0]
	}
	program, known := programs[name]
	if !known {
		names := make([]string, 0, len(programs))
		for name := range programs {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintf(os.Stderr, "controlplane: no program %q here; name one of %s\n", name, strings.Join(names, ", "))
		os.Exit(2)
	}
	program()
}

// component runs a Kubernetes component as its own main would. Commands are made late, because making one
// registers flags and feature gates that the others must not see.
func component(command func() *cobra.Command) func() {
	return func() { os.Exit(cli.Run(command())) }
}

// kubeletCommand calls the constructor of the kubelet's command, which takes no context in older releases.
func kubeletCommand(constructor any) *cobra.Command {
	switch construct := constructor.(type) {
	case func() *cobra.Command:
		return construct()
	case func(context.Context) *cobra.Command:
		// The kubelet sets up the signal handler itself; a second one would panic.
		return construct(context.Background())
	default:
		panic(fmt.Sprintf("this release makes its kubelet by a %T: teach kubeletCommand to call it", constructor))
	}
}

// fallible runs a program of the lab's own.
func fallible(run func(args []string) error) func() {
	return func() {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[0], err)
			os.Exit(1)
		}
	}
}

func kubectl() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
