// Sbom writes a package's bill of materials to standard output, as CycloneDX JSON: the program's Go modules, if it has a program, as its build
// information names them, the shared libraries with their hashes and the artifacts that they were taken out of, and what these contain in
// turn. Licences and artifacts are those of THIRD_PARTY.md. It knows nothing that isn't in one of these.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	var s source
	flag.StringVar(&s.name, "name", "sightd", "the package")
	flag.StringVar(&s.program, "program", "", "the packaged program, a `FILE`; without one the package has libraries only")
	flag.StringVar(&s.libraries, "libraries", "", "`FOLDER` of the packaged libraries")
	flag.StringVar(&s.notices, "notices", "THIRD_PARTY.md", "`FILE` of notices")
	flag.StringVar(&s.arch, "arch", "", "amd64 or arm64")
	flag.StringVar(&s.version, "version", "", "sightd's version")
	epoch := flag.Int64("epoch", 0, "time of the build, in seconds since 1970")
	flag.Parse()
	s.time = time.Unix(*epoch, 0).UTC()
	bom, err := s.bom()
	if err == nil {
		err = cdx.NewBOMEncoder(os.Stdout, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_5)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// source is what a bill of materials is made of.
type source struct {
	name, program, libraries, notices, arch, version string

	time time.Time
}

func (s source) bom() (*cdx.BOM, error) {
	text, err := os.ReadFile(s.notices)
	if err != nil {
		return nil, err
	}
	rows := tables(string(text))
	components, err := s.shared(rows)
	if err != nil {
		return nil, err
	}
	purl := "pkg:deb/" + s.name + "@" + s.version + "?arch=" + s.arch
	main := &cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: s.name, Version: s.version, PackageURL: purl}
	first := (*components[0].Hashes)[0].Value
	if s.program != "" {
		modules, err := s.modules(rows)
		if err != nil {
			return nil, err
		}
		components = append(modules, components...)
		if first, err = hash(s.program); err != nil {
			return nil, err
		}
		main.Type, main.Hashes = cdx.ComponentTypeApplication, &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: first}}
	}
	bom := cdx.NewBOM()
	// The same files get the same number, so that two builds of a commit are the same.
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(purl+first)))
	bom.SerialNumber = fmt.Sprintf("urn:uuid:%s-%s-5%s-8%s-%s", sum[:8], sum[8:12], sum[13:16], sum[17:20], sum[20:32])
	bom.Metadata = &cdx.Metadata{
		Timestamp: s.time.Format(time.RFC3339),
		Component: main,
	}
	bom.Components = &components
	refs := make([]string, len(components))
	for i, c := range components {
		refs[i] = c.BOMRef
	}
	bom.Dependencies = &[]cdx.Dependency{{Ref: purl, Dependencies: &refs}}
	return bom, nil
}

// modules are Go's run-time and the modules that the program is linked of.
func (s source) modules(rows []row) ([]cdx.Component, error) {
	info, err := buildinfo.ReadFile(s.program)
	if err != nil {
		return nil, err
	}
	licence := map[string]string{}
	for _, r := range rows {
		licence[strings.Trim(r.cell["module"], "`")] = r.cell["licence"]
	}
	std := "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")
	components := []cdx.Component{{
		BOMRef: std, Type: cdx.ComponentTypeLibrary, Name: "std", Version: info.GoVersion, PackageURL: std,
		Licenses: licences(licence["Go's run-time and standard library"]),
	}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		if licence[m.Path] == "" {
			return nil, fmt.Errorf("look up %s in %s: want its licence, have none", m.Path, s.notices)
		}
		purl := "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")
		components = append(components, cdx.Component{
			BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: purl, Licenses: licences(licence[m.Path]),
		})
	}
	return components, nil
}

// shared are the libraries, each with the parts that it contains.
func (s source) shared(rows []row) ([]cdx.Component, error) {
	files, err := filepath.Glob(filepath.Join(s.libraries, "*"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("look for libraries in %q: want some, have none", s.libraries)
	}
	var components []cdx.Component
	for _, file := range files {
		name, artifact := filepath.Base(file), ""
		var found row
		for _, r := range rows {
			if r.cell["artifact"] == "" {
				continue
			}
			if !strings.HasPrefix(r.cell["artifact"], "as above") {
				artifact = r.cell["artifact"]
			}
			if strings.Contains(r.cell["library"], "`"+name+"`") {
				found = r
				break
			}
		}
		machine := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[s.arch]
		purl := origin(between(artifact, "`", "`"), machine)
		if found.cell == nil || purl == "" {
			return nil, fmt.Errorf("look up %s in %s: want its licence and artifact [GROUP:]NAME:VERSION, have %q", name, s.notices, artifact)
		}
		sum, err := hash(file)
		if err != nil {
			return nil, err
		}
		c := cdx.Component{
			BOMRef: "file:" + name, Type: cdx.ComponentTypeLibrary, Name: name,
			PackageURL: purl,
			Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}},
			Licenses:   licences(found.cell["licence"]),
		}
		c.Description, c.Version = nameVersion(found.cell["version"])
		if parts := parts(rows, name, machine); len(parts) > 0 {
			c.Components = &parts
		}
		components = append(components, c)
	}
	return components, nil
}

// origin is the address of an artifact for a machine, of Maven's as GROUP:NAME:VERSION or of Python's as NAME:VERSION; else "".
func origin(artifact, machine string) string {
	c := strings.Split(artifact, ":")
	switch len(c) {
	case 3:
		return fmt.Sprintf("pkg:maven/%s/%s@%s?classifier=linux-%s", c[0], c[1], c[2], machine)
	case 2:
		return fmt.Sprintf("pkg:pypi/%s@%s", c[0], c[1])
	}
	return ""
}

// parts are what a library for a machine contains.
func parts(rows []row, library, machine string) (components []cdx.Component) {
	stem, _, _ := strings.Cut(library, ".so")
	for _, r := range rows {
		part := r.cell["part"]
		if part == "" || r.cell["licence"] == "see above" {
			continue
		}
		where := r.heading // "In libtensorflowlite_c.so", or a column tells: "core, imgproc", "libgfortran"
		if in, ok := r.cell["in"]; ok {
			where = ""
			for name := range strings.SplitSeq(in, ", ") {
				if name == stem || "libopencv_"+name == stem {
					where = stem
				}
			}
		}
		if !strings.Contains(where, stem) || strings.Contains(part, " only)") && !strings.Contains(part, machine+" only") {
			continue
		}
		part, _, _ = strings.Cut(part, " (")
		c := cdx.Component{Type: cdx.ComponentTypeLibrary, Licenses: licences(r.cell["licence"]), Copyright: r.cell["copyright"]}
		c.Name, c.Version = nameVersion(part)
		c.BOMRef = "file:" + library + "#" + strings.ReplaceAll(part, " ", "-")
		components = append(components, c)
	}
	return components
}

// nameVersion splits "OpenCV 4.13.0". What doesn't end in a number has no version that is known.
func nameVersion(text string) (name, version string) {
	text, _, _ = strings.Cut(text, ",")
	i := strings.LastIndexByte(text, ' ')
	if i < 0 || text[i+1] < '0' || text[i+1] > '9' {
		return text, ""
	}
	return text[:i], text[i+1:]
}

// licences are an SPDX expression, or what isn't one by its name.
func licences(text string) *cdx.Licenses {
	if strings.HasSuffix(text, "-style") {
		return &cdx.Licenses{{License: &cdx.License{Name: text}}}
	}
	return &cdx.Licenses{{Expression: text}}
}

// row is a line of a table in Markdown: its cells by their columns' names, and the heading above.
type row struct {
	heading string
	cell    map[string]string
}

// tables are the rows of all tables of a text.
func tables(text string) (rows []row) {
	var heading string
	var columns []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			columns = nil
			if title := strings.TrimLeft(line, "#"); title != line {
				heading = strings.TrimSpace(title)
			}
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if columns == nil {
			columns = cells
			continue
		}
		r := row{heading, map[string]string{}}
		for i, c := range cells[:min(len(cells), len(columns))] {
			r.cell[columns[i]] = c
		}
		if !strings.HasPrefix(cells[0], "---") {
			rows = append(rows, r)
		}
	}
	return rows
}

// between is what stands in text between from and the next to.
func between(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, to)
	return text
}

// hash is the SHA-256 of a file, in hexadecimal.
func hash(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
