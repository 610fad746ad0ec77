package configs

import _ "embed"

// Demo is the profile of the invented centre that `sekretariat demo` runs.
//
//go:embed demo.yaml
var Demo []byte
