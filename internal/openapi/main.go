// Command openapi writes docs/api/openapi.yaml: the calls of the service for programs
// as JSON over HTTP, from the schema in proto. Comments there become descriptions.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

func main() {
	root := flag.String("root", ".", "the root of the repository")
	flag.Parse()
	files, err := schema(*root)
	if err == nil {
		err = os.WriteFile(*root+"/docs/api/openapi.yaml", describe(files), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

// schema reads the schema, with its comments: what is compiled into programs has
// none.
func schema(root string) (list []protoreflect.FileDescriptor, err error) {
	buf := exec.Command("go", "tool", "-modfile=tools/go.mod", "buf", "build", "proto", "-o", "-#format=binpb")
	buf.Dir = root
	var complaints bytes.Buffer
	buf.Stderr = &complaints
	text, err := buf.Output()
	if err != nil {
		return nil, fmt.Errorf("buf build: %w: %s", err, complaints.Bytes())
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, err
	}
	for _, f := range set.GetFile() { // in the order of the set, which is that of their names
		if f.GetPackage() != "conch.v1" {
			continue
		}
		d, err := files.FindFileByPath(f.GetName())
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	if len(list) == 0 {
		return nil, protoregistry.NotFound
	}
	return list, nil
}
