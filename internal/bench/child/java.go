package child

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// ErrNoJava says that a peer in Java cannot run here; the error's text says what is missing.
var ErrNoJava = errors.New("no JDK or no Maven here")

// JavaPeer is an application in Java that is measured beside dwell: one source file and the jars that a
// pom.xml names.
type JavaPeer struct {
	// Name is what people call it; Folder is where the cache keeps it.
	Name, Folder string
	// Files hold Source, such as Counter.java, and pom.xml.
	Files  fs.FS
	Source string
	// MB is about how much Maven fetches.
	MB int
}

// Java is a compiled JavaPeer.
type Java struct{ java, dir string }

// Build compiles the application, with jars from Maven, once per source and cache. An empty cache means
// DWELL_CACHE, else the user's.
func (a JavaPeer) Build(ctx context.Context, cache string, say func(string)) (*Java, error) {
	java, err := tool("java", "a JDK (Debian, Ubuntu: sudo apt-get install openjdk-17-jdk-headless)")
	if err != nil {
		return nil, err
	}
	dir, err := a.dir(cache)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); err == nil {
		return &Java{java, dir}, nil // it got its name when it was complete
	}
	javac, err := tool("javac", "a JDK (Debian, Ubuntu: sudo apt-get install openjdk-17-jdk-headless)")
	if err != nil {
		return nil, err
	}
	mvn, err := tool("mvn", "Maven (Debian, Ubuntu: sudo apt-get install maven)")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("make the cache of %s: %w", a.Name, err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "part-")
	if err != nil {
		return nil, fmt.Errorf("make the cache of %s: %w", a.Name, err)
	}
	defer os.RemoveAll(tmp)
	say(fmt.Sprintf("fetching %s through Maven (%d MB) and compiling %s, once", a.Name, a.MB, a.Source))
	if err := a.compile(ctx, tmp, mvn, javac); err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, dir); err != nil {
		if _, there := os.Stat(dir); there != nil { // else another process was faster
			return nil, fmt.Errorf("keep %s in the cache: %w", a.Name, err)
		}
	}
	return &Java{java, dir}, nil
}

// dir is where the application of this source is kept.
func (a JavaPeer) dir(cache string) (string, error) {
	if cache == "" {
		cache = os.Getenv("DWELL_CACHE")
	}
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a cache folder (set DWELL_CACHE to choose one): %w", err)
		}
		cache = filepath.Join(base, "dwell")
	}
	h := sha256.New()
	for _, name := range []string{a.Source, "pom.xml"} {
		b, err := fs.ReadFile(a.Files, name)
		if err != nil {
			return "", err
		}
		_, _ = h.Write(b) // never fails
	}
	return filepath.Abs(filepath.Join(cache, a.Folder, fmt.Sprintf("%x", h.Sum(nil)[:8])))
}

func (a JavaPeer) compile(ctx context.Context, dir, mvn, javac string) error {
	if err := os.CopyFS(dir, a.Files); err != nil {
		return fmt.Errorf("unpack %s: %w", a.Name, err)
	}
	for _, argv := range [][]string{
		{mvn, "-q", "-B", "--strict-checksums", "-f", "pom.xml", "dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime"},
		{javac, "-nowarn", "-cp", filepath.Join("lib", "*"), "-d", "classes", a.Source},
	} {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
		out, err := cmd.CombinedOutput()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s for %s: %w: %.2000s", filepath.Base(argv[0]), a.Name, err, out)
		}
	}
	return nil
}

// tool finds a program: that of JAVA_HOME first.
func tool(name, install string) (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		path := filepath.Join(home, "bin", name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: there is no %s; install %s", ErrNoJava, name, install)
	}
	return path, nil
}

// Argv is the command line of a class: options of the JVM, then its own arguments.
func (j *Java) Argv(options []string, class string, args ...string) []string {
	path := filepath.Join(j.dir, "classes") + string(os.PathListSeparator) + filepath.Join(j.dir, "lib", "*")
	argv := append([]string{j.java}, options...)
	return append(append(argv, "-cp", path, class), args...)
}
