// Reads what k8s/ holds with the very code that will read it elsewhere: kustomize renders, the
// admission plug-in's own policy judges, Compose's loader and BuildKit's parser parse. Prints what
// it read as JSON, for the tests in ../e2e/manifests to ask questions of; what is refused goes to
// standard error, and then the exit code is 1.
//
//	k8s-check DIRECTORY   the directory k8s
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	corev1 "k8s.io/api/core/v1"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

type object = map[string]any

type read struct {
	// By directory, relative to the one given: what `kubectl apply -k` would send. A component's is
	// that of the base with it; `components` is the sharded overlay with all of them.
	Kustomizations map[string][]object `json:"kustomizations"`
	// The objects of files that are in no kustomization: templates.
	Templates  []object `json:"templates"`
	Compose    any      `json:"compose"`
	Dockerfile []stage  `json:"dockerfile"`
}

type stage struct {
	Name         string   `json:"name"`
	Base         string   `json:"base"`
	Instructions []string `json:"instructions"`
	// What the Dockerfile itself holds the text of, by where it is copied to.
	Files map[string]string `json:"files"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: k8s-check DIRECTORY")
		os.Exit(64)
	}
	result, err := readAll(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Every mistake there is, not the first one alone.
func readAll(directory string) (read, error) {
	var result read
	var mistakes []error
	keep := func(err error) {
		if err != nil {
			mistakes = append(mistakes, err)
		}
	}
	var err error
	result.Kustomizations, err = kustomizations(directory)
	keep(err)
	for name, objects := range result.Kustomizations {
		for _, object := range objects {
			keep(restricted(name, object))
		}
	}
	result.Templates, err = templates(filepath.Join(directory, "base/secrets.example.yaml"))
	keep(err)
	result.Compose, err = compose(filepath.Join(directory, "compose.yaml"))
	keep(err)
	result.Dockerfile, err = dockerfile(filepath.Join(directory, "Dockerfile"))
	keep(err)
	return result, errors.Join(mistakes...)
}

func kustomizations(directory string) (map[string][]object, error) {
	rendered := map[string][]object{}
	var mistakes []error
	var components []string
	keep := func(name string, objects []object, err error) {
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s: %w", name, err))
		}
		rendered[name] = objects
	}
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "kustomization.yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(directory, filepath.Dir(path))
		if err != nil {
			return err
		}
		if strings.Contains(string(text), "\nkind: Component\n") {
			components = append(components, name)
			return nil
		}
		objects, err := render(filepath.Dir(path))
		keep(name, objects, err)
		return nil
	})
	for _, component := range components {
		objects, err := renderWith(directory, "base", component)
		keep(component, objects, err)
	}
	if len(components) > 0 {
		objects, err := renderWith(directory, "overlays/sharded", components...)
		keep("components", objects, err)
	}
	return rendered, errors.Join(append(mistakes, err)...)
}

// Renders what an overlay of somebody's own would: a part of directory with components.
func renderWith(directory string, base string, components ...string) ([]object, error) {
	// kustomize follows no symbolic link out of the overlay, and takes relative paths only.
	directory, err := filepath.EvalSymlinks(directory)
	if err != nil {
		return nil, err
	}
	if directory, err = filepath.Abs(directory); err != nil {
		return nil, err
	}
	temporary, err := filepath.EvalSymlinks(os.TempDir())
	if err != nil {
		return nil, err
	}
	overlay, err := os.MkdirTemp(temporary, "k8s-check-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(overlay)
	up, err := filepath.Rel(overlay, directory)
	if err != nil {
		return nil, err
	}
	own := object{
		"apiVersion": "kustomize.config.k8s.io/v1beta1",
		"kind":       "Kustomization",
		"namespace":  "sitewatch",
		"resources":  []string{filepath.Join(up, base)},
	}
	var paths []string
	for _, component := range components {
		paths = append(paths, filepath.Join(up, component))
	}
	own["components"] = paths
	text, err := yaml.Marshal(own)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), text, 0o600); err != nil {
		return nil, err
	}
	return render(overlay)
}

func render(directory string) ([]object, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).
		Run(filesys.MakeFsOnDisk(), directory)
	if err != nil {
		return nil, err
	}
	var objects []object
	for _, resource := range resources.Resources() {
		object, err := resource.Map()
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// Judges the pods that an object makes, as the namespace's label will have the API server do it.
func restricted(directory string, object object) error {
	template := podTemplate(object)
	if template == nil {
		return nil
	}
	text, err := json.Marshal(template)
	if err != nil {
		return err
	}
	var pod corev1.PodTemplateSpec
	if err := json.Unmarshal(text, &pod); err != nil {
		return err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	version := psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}
	var mistakes []error
	for _, result := range evaluator.EvaluatePod(version, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			mistakes = append(mistakes, fmt.Errorf("%s: %s %s is not restricted: %s (%s)", directory,
				object["kind"], field(object, "metadata")["name"],
				result.ForbiddenReason, result.ForbiddenDetail))
		}
	}
	return errors.Join(mistakes...)
}

func podTemplate(object object) object {
	spec := field(object, "spec")
	switch object["kind"] {
	case "CronJob":
		return field(field(field(spec, "jobTemplate"), "spec"), "template")
	case "ScaledJob":
		return field(field(spec, "jobTargetRef"), "template")
	case "Job", "StatefulSet", "Deployment", "DaemonSet":
		return field(spec, "template")
	default:
		return nil
	}
}

func field(of object, name string) object {
	value, _ := of[name].(object)
	return value
}

func templates(path string) ([]object, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var objects []object
	for _, document := range strings.Split(string(text), "\n---\n") {
		var object object
		if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func compose(path string) (any, error) {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithName("sitewatch"), cli.WithProfiles([]string{"*"}))
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var plain any
	return plain, json.Unmarshal(text, &plain)
}

func dockerfile(path string) ([]stage, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	parsed, err := parser.Parse(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, warning := range parsed.Warnings {
		return nil, fmt.Errorf("%s: %s", path, warning.Short)
	}
	stages, _, err := instructions.Parse(parsed.AST, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var result []stage
	for _, from := range stages {
		found := stage{Name: from.Name, Base: from.BaseName, Files: map[string]string{}}
		for _, command := range from.Commands {
			found.Instructions = append(found.Instructions, fmt.Sprint(command))
			if copied, ok := command.(*instructions.CopyCommand); ok {
				for _, file := range copied.SourceContents {
					found.Files[copied.DestPath] = file.Data
				}
			}
		}
		result = append(result, found)
	}
	return result, nil
}
