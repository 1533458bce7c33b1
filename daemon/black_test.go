package daemon

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
)

// writeBlack writes black pictures, each with another speck of noise, from number first up to the one before end.
func writeBlack(dir string, first, end int) error {
	for i := first; i < end; i++ {
		img := image.NewGray(image.Rect(0, 0, 320, 240))
		img.Pix[i] = 9
		var file bytes.Buffer
		if err := png.Encode(&file, img); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.png", i)), file.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}
