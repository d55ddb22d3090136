// Judges GitHub's workflows in the files named as arguments. What it finds goes to standard error, and
// then the exit code is 1.
package main

import (
	"fmt"
	"os"

	"github.com/rhysd/actionlint"
)

func main() {
	linter, err := actionlint.NewLinter(os.Stderr, &actionlint.LinterOptions{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	problems, err := linter.LintFiles(os.Args[1:], nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || len(problems) > 0 {
		os.Exit(1)
	}
}
