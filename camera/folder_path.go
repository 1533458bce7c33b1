package camera

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Files below a folder are reached from its directory step by step, and no step follows a symbolic link. os.Root would
// refuse those that lead out of the folder only: with a link inside it, a file could be handed out under two names, or
// done/ be the folder itself.

var (
	errNotRegular = errors.New("no regular file")
	errGone       = errors.New("file is gone")
)

// gone reports whether an error of opening a file or directory means that it isn't there.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// retry repeats a system call that a signal interrupted, as slow file systems let happen.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// join returns the absolute path of a name relative to the folder.
func (f *Folder) join(name string) string {
	if name == "" {
		return f.path
	}
	return f.path + "/" + name
}

// lstat looks at a path. It is only asked what there is: opening and moving take the way of openDir.
func lstat(path string) (st unix.Stat_t, err error) {
	err = retry(func() error { return unix.Lstat(path, &st) })
	return st, err
}

func statAt(dir *os.File, base string) (st unix.Stat_t, err error) {
	err = retry(func() error { return unix.Fstatat(int(dir.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

// statFile is fileOf for an open file.
func statFile(file *os.File) (identity, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(int(file.Fd()), &st) }); err != nil {
		return identity{}, err
	}
	return fileOf(&st)
}

// openAt opens base in the directory dir, a descriptor, following no symbolic link.
func openAt(dir int, base string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dir, base, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

// exists reports whether a directory has a file of any kind of that name.
func exists(dir *os.File, base string) bool {
	_, err := statAt(dir, base)
	return err == nil
}

// isFile is exists for regular files.
func isFile(dir *os.File, base string) bool {
	st, err := statAt(dir, base)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}

func unlinkAt(dir *os.File, base string) error {
	return retry(func() error { return unix.Unlinkat(int(dir.Fd()), base, 0) })
}

// openDir opens a directory below the folder, "" for the folder itself; with create it makes those that are missing.
func (f *Folder) openDir(rel string, create bool) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(f.path, flags, 0)
		return err
	})
	at := f.path
	for step := range strings.SplitSeq(rel, "/") {
		if err != nil {
			break
		}
		if step == "" || step == "." {
			continue
		}
		parent := fd
		at += "/" + step
		fd, err = openAt(parent, step, flags, 0)
		if create && err == unix.ENOENT {
			err = retry(func() error { return unix.Mkdirat(parent, step, 0o777) })
			if err == nil || err == unix.EEXIST {
				fd, err = openAt(parent, step, flags, 0)
			}
		}
		unix.Close(parent) // it was only read from
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: printable(at), Err: err}
	}
	return os.NewFile(uintptr(fd), at), nil
}

// open opens a file below the folder for reading, if it is a regular one.
func (f *Folder) open(name string) (*os.File, identity, error) {
	dir, err := f.openDir(path.Dir(name), false)
	if err != nil {
		return nil, identity{}, err
	}
	defer dir.Close() // it is only read from
	return openFileAt(dir, path.Base(name))
}

// openFileAt opens a file of a directory for reading. What is no regular file is not opened, and if it takes the file's
// place in that very moment, opening it doesn't block.
func openFileAt(dir *os.File, base string) (*os.File, identity, error) {
	pathError := func(err error) error {
		return &fs.PathError{Op: "open", Path: printable(dir.Name() + "/" + base), Err: err}
	}
	st, err := statAt(dir, base)
	if err == nil {
		_, err = fileOf(&st)
	}
	if err != nil {
		return nil, identity{}, pathError(err)
	}
	fd, err := openAt(int(dir.Fd()), base, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, identity{}, pathError(err)
	}
	file := os.NewFile(uintptr(fd), dir.Name()+"/"+base)
	id, err := statFile(file)
	if err != nil {
		file.Close() // nothing was read
		return nil, identity{}, pathError(err)
	}
	return file, id, nil
}

// renameFree renames a file to the name want in the directory to, or to the first numbered name that is free: it never
// replaces a file. It returns the name that the file got, at most limit bytes long. A result that was written to the
// directory gets its place first.
func renameFree(from *os.File, base string, to *os.File, want string, limit int, r *result) (string, error) {
	return inFreeName(to, want, limit, r, func(got string) error {
		if err := r.place(to, got); err != nil {
			return err
		}
		err := renameNoReplace(from, base, to, got)
		if err == nil {
			return nil
		}
		if undo := r.retract(to, got); undo != nil {
			return undo
		}
		return err
	})
}

// inFreeName calls try with the name want, and then with numbered ones that are free for a picture and its result, while
// it says EEXIST.
func inFreeName(dir *os.File, want string, limit int, r *result, try func(got string) error) (string, error) {
	const attempts = 100 // others may take the free names
	got := numbered(want, 0, limit)
	for range attempts {
		err := try(got)
		if err == nil {
			return got, nil
		}
		if !errors.Is(err, unix.EEXIST) {
			return "", err
		}
		got = freeName(dir, want, limit, r)
	}
	return "", &fs.PathError{Op: "rename to", Path: printable(got), Err: unix.EEXIST}
}

// freeName finds a numbered name that is free with a number of looks that grows like the number's logarithm: a camera
// that always sends image.jpg has thousands of them in done/.
func freeName(dir *os.File, want string, limit int, r *result) string {
	used := func(n int) bool { return r.taken(dir, numbered(want, n, limit)) }
	low, high := 0, 1 // low is used
	for used(high) && high < 1<<40 {
		low, high = high, 2*high
	}
	for high-low > 1 {
		if mid := (low + high) / 2; used(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return numbered(want, high, limit)
}

// renameOver renames a file within a directory. It replaces one that has the name already.
func renameOver(dir *os.File, base, name string) error {
	return retry(func() error { return unix.Renameat(int(dir.Fd()), base, int(dir.Fd()), name) })
}

func renameNoReplace(from *os.File, base string, to *os.File, name string) error {
	err := retry(func() error {
		return unix.Renameat2(int(from.Fd()), base, int(to.Fd()), name, unix.RENAME_NOREPLACE)
	})
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
		return renameReserved(from, base, to, name)
	}
	return err
}

// renameReserved is renameNoReplace for file systems without it, such as NFS: an empty file of our own reserves the name,
// and is what the renaming replaces.
func renameReserved(from *os.File, base string, to *os.File, name string) error {
	fd, err := openAt(int(to.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	unix.Close(fd) // nothing was written
	err = retry(func() error { return unix.Renameat(int(from.Fd()), base, int(to.Fd()), name) })
	if err != nil {
		// An empty file that stays behind does no harm: the next name is taken instead.
		_ = unlinkAt(to, name)
	}
	return err
}
