package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"net/url"
	"os"
	"path/filepath"

	"sightd/models/drawn"
)

// sampleSize is the side of a drawn sample picture in pixels.
const sampleSize = 480

// dropSamples puts the drawn golf ball and parachute into a folder, each whole at once.
func dropSamples(folder string) error {
	if folder == "" {
		return errors.New("drop sample pictures: want a source that is a folder, have none")
	}
	for _, name := range []string{"golf_ball", "parachute"} {
		data, err := SamplePNG(name)
		if err != nil {
			return err
		}
		part := filepath.Join(folder, "."+name+".part")
		if err := os.WriteFile(part, data, 0o666); err != nil {
			return fmt.Errorf("drop sample picture: %w", err)
		}
		if err := os.Rename(part, filepath.Join(folder, name+".png")); err != nil {
			return fmt.Errorf("drop sample picture: %w", err)
		}
	}
	return nil
}

// SamplePNG draws a picture (see drawn.Names) as a PNG file.
func SamplePNG(name string) ([]byte, error) {
	img, err := drawn.Image(name, sampleSize)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("encode %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// watchCommand is what shows the messages of a broker.
func watchCommand(broker, base string) string {
	u, err := url.Parse(broker)
	if err != nil {
		return "mosquitto_sub -t '" + base + "/#' -v"
	}
	port := ""
	if u.Port() != "" {
		port = " -p " + u.Port()
	}
	return fmt.Sprintf("mosquitto_sub -h %s%s -t '%s/#' -v", u.Hostname(), port, base)
}
