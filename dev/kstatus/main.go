// kstatus reads Kubernetes objects as a JSON array from standard input, and writes the status that the library kstatus
// computes for each as a JSON array: InProgress, Current, Failed, Terminating, NotFound or Unknown. Helm 4 --wait and
// Flux use this library.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	var objects []map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		log.Fatal(err)
	}
	found := make([]string, 0, len(objects))
	for _, object := range objects {
		// Numbers are float64 in JSON and int64 in Kubernetes.
		text, err := json.Marshal(object)
		if err != nil {
			log.Fatal(err)
		}
		item := &unstructured.Unstructured{}
		if err := item.UnmarshalJSON(text); err != nil {
			log.Fatal(err)
		}
		result, err := status.Compute(item)
		if err != nil {
			log.Fatal(err)
		}
		found = append(found, string(result.Status))
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		log.Fatal(err)
	}
}
