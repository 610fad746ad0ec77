// Command gendoc writes docs/configuration.md from the doc comments of the
// types in package configs, so that the reference cannot differ from the code.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	source := flag.String("source", "configs/configs.go,configs/doors.go,configs/outgoing.go", "Go files with the types")
	target := flag.String("target", "docs/configuration.md", "file to write")
	flag.Parse()
	text, err := reference(strings.Split(*source, ",")...)
	if err == nil {
		err = os.WriteFile(*target, []byte(text), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gendoc:", err)
		os.Exit(1)
	}
}
