package configs

import _ "embed" // the demo profile

// Demo is the profile of the demo centre, demo.yaml. It is part of the program
// so that the demo runs from any folder.
//
//go:embed demo.yaml
var Demo []byte
