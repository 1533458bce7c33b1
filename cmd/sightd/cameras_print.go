package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"sightd/camera/v4l2"
)

// wide is how many columns a line of sizes takes at most.
const wide = 110

// print tells people what there is, and what they can do with it.
func (l *cameraList) print(w io.Writer, board string) {
	for _, c := range l.Cameras {
		c.print(w)
	}
	if len(l.Others) > 0 {
		fmt.Fprint(w, "No cameras:\n")
		for _, d := range l.Others {
			fmt.Fprintf(w, "  %-12s  %s%s\n", d.Path, printable(d.Name()), inBrackets(cmp.Or(d.What, "read by type "+d.Use)))
		}
		fmt.Fprintln(w)
	}
	switch n := len(l.Cameras); {
	case l.Found:
		fmt.Fprintf(w, "Put a line that begins with - below \"sources:\" in the configuration; \"sightd config init\" prints one.\n")
	case n > 0:
		fmt.Fprintf(w, "No camera can be used yet: see above.\n")
	default:
		fmt.Fprint(w, "There is no camera here.\n")
		hint(w, "", "USB: plug one in; \"lsusb\" shows whether this machine sees it, \"sudo dmesg | tail\" what its driver says")
		if strings.Contains(board, "Raspberry") {
			hint(w, "", "CSI: check the ribbon cable, install rpicam-apps, and try \"rpicam-hello --list-cameras\"")
		}
		hint(w, "", "network: type url reads http and rtsp; such cameras can't be listed")
	}
	if l.Problem != "" {
		fmt.Fprintf(w, "\n%s\n", printable(l.Problem))
	}
	first := true
	for _, m := range l.Missing {
		install := "sudo apt install " + m.Package
		if slices.ContainsFunc(l.Cameras, func(c listedCamera) bool { return c.Hint == install }) {
			continue // it was told of the camera
		}
		if first {
			fmt.Fprintln(w)
		}
		first = false
		fmt.Fprintf(w, "%s is missing, which %s needs\n", m.Program, m.Types)
		hint(w, "", install)
	}
}

func hint(w io.Writer, indent, text string) { fmt.Fprintf(w, "%s-> %s\n", indent, printable(text)) }

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func (c *listedCamera) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n", printable(c.Name))
	row := func(name, value string) { fmt.Fprintf(w, "  %-8s  %s\n", name, printable(value)) }
	if len(c.Nodes) > 0 {
		row("device", strings.Join(c.Nodes, " "))
	}
	if d := c.Device; d != nil {
		for _, link := range d.ByID {
			row("by id", link)
		}
		for _, link := range d.ByPath {
			row("by path", link)
		}
		if d.Driver != "" {
			row("driver", strings.TrimSuffix(d.Driver+", "+d.Bus, ", "))
		}
		if len(d.Users) > 0 && d.Problem == "" {
			row("in use", "by "+strings.Join(d.Users, ", "))
		}
		if d.Use == "v4l2" {
			printFormats(w, d)
		}
	}
	if s := c.CSI; s != nil {
		row("csi", fmt.Sprintf("camera %d, %s", s.Number, s.Path))
		row("sensor", strings.TrimSpace(fmt.Sprintf("%dx%d %s", s.Width, s.Height, s.Kind)))
		for i, m := range s.Modes {
			name := m.Format
			if i > 0 && s.Modes[i-1].Format == name {
				name = ""
			}
			rate := ""
			if m.FPS > 0 {
				rate = " up to " + number(m.FPS) + " fps"
			}
			fmt.Fprintf(w, "  %-8s  %dx%d%s%s\n", "", m.Width, m.Height, rate, inBrackets(name))
		}
	}
	if c.Problem != "" {
		row("problem", c.Problem)
		if c.Hint != "" {
			hint(w, strings.Repeat(" ", 12), c.Hint)
		}
	}
	if c.Config != "" {
		fmt.Fprintf(w, "\n  %s\n", c.Config)
	}
	fmt.Fprintln(w)
}

// printFormats prints the formats that can be read, the best one first, and names the others.
func printFormats(w io.Writer, d *v4l2.Device) {
	best, _ := d.Best() // zero without any
	formats := slices.Clone(d.Formats)
	slices.SortStableFunc(formats, func(a, b v4l2.Format) int {
		rank := func(f v4l2.Format) int {
			switch {
			case f.FourCC == best.FourCC:
				return 0
			case f.Readable:
				return 1
			}
			return 2
		}
		return cmp.Compare(rank(a), rank(b))
	})
	for _, f := range formats {
		if !f.Readable {
			fmt.Fprintf(w, "  %-8s  type v4l2 can't read it\n", printable(f.FourCC))
			continue
		}
		lines := sizeLines(f.Sizes)
		if len(lines) == 0 {
			lines = []string{"sizes unknown"}
		}
		for i, line := range lines {
			name := ""
			if i == 0 {
				name = f.FourCC
			}
			fmt.Fprintf(w, "  %-8s  %s\n", printable(name), line)
		}
	}
}

// sizeLines lists sizes, smallest first, those with the same rates together: fastest rates first.
func sizeLines(sizes []v4l2.Size) []string {
	type group struct {
		rates string
		best  float64
		sizes []v4l2.Size
	}
	var groups []group
	for _, s := range sizes {
		rates, best := rateText(s), 0.0
		if len(s.Rates) > 0 {
			best = s.Rates[0]
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.rates == rates })
		if i < 0 {
			groups = append(groups, group{rates: rates, best: best})
			i = len(groups) - 1
		}
		groups[i].sizes = append(groups[i].sizes, s)
	}
	slices.SortStableFunc(groups, func(a, b group) int { return cmp.Compare(b.best, a.best) })
	var lines []string
	for _, g := range groups {
		slices.SortStableFunc(g.sizes, func(a, b v4l2.Size) int { return cmp.Compare(a.Width*a.Height, b.Width*b.Height) })
		line := g.rates
		for _, s := range g.sizes {
			word := sizeText(s)
			if len(line)+1+len(word) > wide {
				lines, line = append(lines, line), "  "+word
				continue
			}
			line += " " + word
		}
		lines = append(lines, line)
	}
	return lines
}

func sizeText(s v4l2.Size) string {
	if s.MaxWidth == 0 {
		return fmt.Sprintf("%dx%d", s.Width, s.Height)
	}
	return fmt.Sprintf("%dx%d to %dx%d", s.Width, s.Height, s.MaxWidth, s.MaxHeight)
}

// rateText is "30 24 15 fps:".
func rateText(s v4l2.Size) string {
	if len(s.Rates) == 0 {
		return "any rate:"
	}
	if s.AnyRate {
		return fmt.Sprintf("%s to %s fps:", number(s.Rates[len(s.Rates)-1]), number(s.Rates[0]))
	}
	rates := make([]string, len(s.Rates))
	for i, r := range s.Rates {
		rates[i] = number(r)
	}
	return strings.Join(rates, " ") + " fps:"
}
