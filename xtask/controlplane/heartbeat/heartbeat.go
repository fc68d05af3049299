// Package heartbeat keeps bare nodes alive in the eyes of Kubernetes.
//
// A bare node has no kubelet. What matters of one here is that it registers the Node, renews its Lease, and
// reports itself Ready again after it was given up. One process does so for all bare nodes of a lab, each through
// connections opened in that node's network namespace: so a node whose link is cut falls silent, and
// the node lifecycle controller judges it as it judges any other.
package heartbeat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-helpers/apimachinery/lease"
	"k8s.io/utils/clock"
)

const (
	leaseNamespace = "kube-node-lease"
	// leaseDuration and period are the kubelet's defaults (nodeLeaseDurationSeconds, and a quarter of it).
	leaseDuration = 40 * time.Second
	period        = 10 * time.Second
	// patience bounds a request: a node behind a cut link must try again soon after the link is back.
	patience = 5 * time.Second
)

// config is what the lab writes for this program.
type config struct {
	// Server is the API server's URL, and CAFile the certificate to trust it by.
	Server string `json:"server"`
	CAFile string `json:"caFile"`
	Nodes  []node `json:"nodes"`
}

// node is one bare node.
type node struct {
	Name string `json:"name"`
	// Token authenticates as system:node:<name>.
	Token string `json:"token"`
	// Netns is the path of the node's network namespace.
	Netns string `json:"netns"`
	// Addresses are the node's internal addresses.
	Addresses []string `json:"addresses"`
}

// Run keeps the nodes of the JSON file that its only argument names, until it is told to end.
func Run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: heartbeat FILE")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var running sync.WaitGroup
	for _, n := range c.Nodes {
		client, err := n.client(c.Server, c.CAFile)
		if err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
		running.Go(func() { n.keep(ctx, client) })
	}
	running.Wait()
	return nil
}

func (n node) client(server, caFile string) (kubernetes.Interface, error) {
	return kubernetes.NewForConfig(&rest.Config{
		Host:            server,
		BearerToken:     n.Token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: caFile},
		Timeout:         patience,
		Dial:            dialIn(n.Netns),
	})
}

// keep registers the node and renews its Lease and its Ready condition.
func (n node) keep(ctx context.Context, client kubernetes.Interface) {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		if err := n.report(ctx, client); err != nil {
			fmt.Fprintf(os.Stderr, "%s %s: %v\n", time.Now().Format(time.RFC3339), n.Name, err)
		}
	}, time.Second)
}

// report makes the Node exist, then renews until something fails.
func (n node) report(ctx context.Context, client kubernetes.Interface) error {
	registered, err := client.CoreV1().Nodes().Create(ctx, n.object(), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		registered, err = client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
	}
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	owned := func(l *coordinationv1.Lease) error {
		l.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "Node", Name: registered.Name, UID: registered.UID,
		}}
		return nil
	}
	renewal := lease.NewController(
		clock.RealClock{}, client, n.Name, int32(leaseDuration/time.Second), nil, period, n.Name, leaseNamespace, owned)
	go renewal.Run(ctx)
	return wait.PollUntilContextCancel(ctx, period, true, func(ctx context.Context) (bool, error) {
		return false, n.reportReady(ctx, client)
	})
}

// reportReady writes the Ready condition if it does not hold.
func (n node) reportReady(ctx context.Context, client kubernetes.Interface) error {
	seen, err := client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{ResourceVersion: "0"})
	if err != nil || isReady(seen) {
		return err
	}
	// Conditions alone: a strategic merge takes two internal addresses for one.
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": readyConditions()}})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Nodes().PatchStatus(ctx, n.Name, patch)
	return err
}

// readyConditions are those of a node that became Ready now.
func readyConditions() []corev1.NodeCondition {
	return []corev1.NodeCondition{{
		Type:               corev1.NodeReady,
		Status:             corev1.ConditionTrue,
		Reason:             "BareNode",
		Message:            "the lab keeps this node alive; it runs no pods",
		LastHeartbeatTime:  metav1.Now(),
		LastTransitionTime: metav1.Now(),
	}}
}

func isReady(n *corev1.Node) bool {
	for _, condition := range n.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
