package inference

import (
	"slices"
	"strings"
	"testing"
)

func TestParseDelegate(t *testing.T) {
	for _, test := range []struct {
		text    string
		path    string
		options []ExternalOption
		want    string // a part of the error, "" for none
	}{
		{text: "auto"}, {text: "cpu"}, {text: "xnnpack"}, {text: "xnnpack-fp16"}, {text: "gpu"},
		{text: "external:/usr/lib/libedgetpu.so.1", path: "/usr/lib/libedgetpu.so.1"},
		{text: "external:/a.so?device=usb&speed=max", path: "/a.so", options: []ExternalOption{{"device", "usb"}, {"speed", "max"}}},
		{text: "external:/a.so?b=1&a=%26%3D+x&flag", path: "/a.so", options: []ExternalOption{{"b", "1"}, {"a", "&= x"}, {"flag", ""}}},
		{text: "external:/a.so?", path: "/a.so"},
		{text: "", want: "want auto, cpu, xnnpack"},
		{text: "GPU", want: `have "GPU"`},
		{text: "external:", want: "want external: and the absolute path"},
		{text: "external:a.so", want: "want external: and the absolute path"},
		{text: "external:/a.so?=1", want: `have "=1"`},
		{text: "external:/a.so?a=%zz", want: `have "a=%zz"`},
		{text: "external:/a.so?a=%00", want: `have "a=%00"`},
		{text: "external:/a\x00.so", want: "want external: and the absolute path"},
		{text: "external:/a.so?" + strings.Repeat("a=1&", 257), want: "want at most 256 options, have 257"},
	} {
		d, err := ParseDelegate(test.text)
		if driver := test.path != "" || test.text == "gpu"; err == nil && d.HasDriver() != driver {
			t.Errorf("%q has a driver: have %t, want %t", test.text, d.HasDriver(), driver)
		}
		if test.want != "" {
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q: have error %v, want %q", test.text, err, test.want)
			}
			continue
		}
		if err != nil || string(d) != test.text {
			t.Errorf("%q: have %q, %v", test.text, d, err)
			continue
		}
		if !d.IsExternal() {
			continue
		}
		if path, options, err := d.Library(); err != nil || path != test.path || !slices.Equal(options, test.options) {
			t.Errorf("%q: have %q, %v, %v, want %q, %v", test.text, path, options, err, test.path, test.options)
		}
	}
	if _, _, err := CPU.Library(); err == nil {
		t.Error("the CPU has no library: want an error")
	}
}

func FuzzParseDelegate(f *testing.F) {
	for _, text := range []string{"auto", "external:/a.so?device=usb&speed=max", "external:/a.so?a=%26&&b", "external:a", "external:/\xff?\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDelegate(text)
		if err != nil {
			return
		}
		if string(d) != text {
			t.Errorf("have %q, want it as it was given: %q", d, text)
		}
		if !d.IsExternal() {
			return
		}
		path, options, err := d.Library()
		if err != nil || path == "" || strings.ContainsRune(path, 0) || len(options) > maxExternalOptions {
			t.Errorf("%q: have path %q, %d options, %v", text, path, len(options), err)
		}
		for _, o := range options {
			if o.Key == "" || strings.ContainsRune(o.Key+o.Value, 0) {
				t.Errorf("%q: have option %q", text, o)
			}
		}
	})
}
