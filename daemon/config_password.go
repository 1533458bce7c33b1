package daemon

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxPassword is the most bytes of MQTT's password (MQTT 3.1.1, section 3.1.3.5).
const maxPassword = 1<<16 - 1

// secret is the password: that of the configuration, of its file, or, where a user is named, of systemd's credential "mqtt" in the folder
// credentials; "" without any. Line ends behind it are none of it.
func (c MQTTConfig) secret(credentials string) (string, error) {
	switch {
	case c.Password != "":
		return c.Password, nil
	case c.PasswordFile != "":
		password, err := readSecret(c.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("read mqtt.password_file: %w", err)
		}
		return password, nil
	case c.User == "" || credentials == "":
		return "", nil
	}
	password, err := readSecret(filepath.Join(credentials, "mqtt"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoSecret) { // a service has an empty one until somebody fills it
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the credential mqtt: %w", err)
	}
	return password, nil
}

var errNoSecret = errors.New("want a password, have none in it")

// readSecret reads a file of one line. Its errors don't repeat it.
func readSecret(path string) (string, error) {
	about, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !about.Mode().IsRegular() { // a FIFO may never end
		return "", fmt.Errorf("%s: want a file, have something else", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPassword+3))
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(data), "\r\n")
	switch {
	case text == "":
		return "", fmt.Errorf("%s: %w", path, errNoSecret)
	case len(text) > maxPassword || len(data) > maxPassword+2:
		return "", fmt.Errorf("%s: want at most %d bytes, have more", path, maxPassword)
	case strings.ContainsAny(text, "\r\n"):
		return "", fmt.Errorf("%s: want the password on one line, have several", path)
	}
	return text, nil
}
