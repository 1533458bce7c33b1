package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sightd/camera"
	"sightd/daemon/album"
	"sightd/decide"
)

// errPrivate is why there is no picture to be had.
var errPrivate = errors.New("privacy is labels_only: sightd gives no pictures")

// openAlbum opens the place for snapshots, where the configuration wants some.
func (d *Daemon) openAlbum() (err error) {
	dir := filepath.Join(d.config.StateDir, "snapshots")
	if _, err := os.Stat(dir); err == nil && d.config.Privacy == PrivacyLabelsOnly {
		d.log.Warn("there are snapshots from before privacy was labels_only: sightd leaves them to you to delete", "folder", dir)
	}
	if c := d.config.Snapshots; c.Enabled && d.config.Privacy != PrivacyLabelsOnly {
		d.album, err = album.Open(dir, int64(c.MaxMB)<<20)
	}
	return err
}

// thumbnail makes a small JPEG of a frame to be published. This and snapshot are the only places that make pictures of frames: with
// privacy labels_only they make none.
func (d *Daemon) thumbnail(f camera.Frame) ([]byte, error) {
	if d.config.Privacy == PrivacyLabelsOnly {
		return nil, errPrivate
	}
	return f.Thumbnail()
}

// snapshot makes a JPEG of a frame at its own size.
func (d *Daemon) snapshot(f camera.Frame) ([]byte, error) {
	if d.config.Privacy == PrivacyLabelsOnly {
		return nil, errPrivate
	}
	return f.Snapshot()
}

// depict keeps and publishes the picture of a live source's event, as the configuration says.
func (d *Daemon) depict(e *decide.Event, f camera.Frame) {
	if d.album != nil {
		jpeg, err := d.snapshot(f)
		if err == nil {
			_, err = d.album.Put(e.Source, e.Time, e.ID, jpeg)
		}
		if err != nil {
			d.log.Warn("no snapshot of an event", "source", e.Source, "id", e.ID, "err", err)
		}
	}
	if d.config.Snapshots.MQTT {
		jpeg, err := d.thumbnail(f)
		if err == nil {
			err = d.client.SetImage(e.Source, jpeg)
		}
		if err != nil {
			d.log.Warn("picture not published", "source", e.Source, "id", e.ID, "err", err)
		}
	}
}

// snapshotTime is how long a request for a snapshot waits for a picture.
const snapshotTime = 5 * time.Second

// portrait is a snapshot that was asked for.
type portrait struct {
	jpeg []byte
	at   time.Time
	err  error
}

// portrait waits for the next picture of a live source, as a small JPEG.
func (d *Daemon) portrait(ctx context.Context, name string) (portrait, error) {
	if d.config.Privacy == PrivacyLabelsOnly {
		return portrait{}, errPrivate
	}
	s, err := d.liveSource(name)
	if err != nil {
		return portrait{}, err
	}
	if err := s.sees(); err != nil {
		return portrait{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	answer := make(chan portrait, 1)
	select {
	case s.watcher.sitters <- answer:
	case <-ctx.Done():
	}
	select {
	case p := <-answer:
		return p, p.err
	case <-ctx.Done():
	}
	if err := s.sees(); err != nil {
		return portrait{}, err
	}
	return portrait{}, fmt.Errorf("source %s has brought no picture within %v", name, snapshotTime)
}

// sees says why a live source can have no picture soon, nil where it may.
func (s *source) sees() error {
	stats := s.watcher.live.Stats()
	switch on, _ := s.enabled(); {
	case !on:
		return fmt.Errorf("source %s is switched off", s.config.Name)
	case stats.Ended:
		return fmt.Errorf("source %s has no picture: its recording has ended", s.config.Name)
	case stats.Problem != "" && !stats.Online:
		return fmt.Errorf("source %s has no picture: %s", s.config.Name, stats.Problem)
	}
	return nil
}

// sit gives a frame to those who asked for one.
func (d *Daemon) sit(w *watcher, f camera.Frame) {
	for {
		select {
		case answer := <-w.sitters:
			jpeg, err := d.thumbnail(f)
			answer <- portrait{jpeg, f.Time, err}
		default:
			return
		}
	}
}
