//go:build tools

// Package tools names the Go reference server that the benchmarks measure beside ours, so that the module pins it.
package tools

import (
	_ "sigs.k8s.io/custom-metrics-apiserver/test-adapter"
)
