package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// kafkaVersion is the Apache Kafka that RealKafka runs.
const kafkaVersion = "4.1.1"

// javaNeeded is the oldest Java that kafkaVersion's broker runs on.
const javaNeeded = 17

// Reasons why a real Kafka cannot run here; test with errors.Is. The error's
// text names the command that installs what is missing.
var (
	ErrNoJava  = errors.New("no Java to run Kafka with")
	ErrNoMaven = errors.New("no Maven to fetch Kafka with")
)

// FetchKafka makes sure that Kafka's jars (43 MB) are in the cache and returns
// their folder, and that there is a Java to run them. Complete jars need neither Maven nor
// network; otherwise Maven fetches them as the user has set it up and checks
// their checksums. cache and progress are those of FetchClickHouse. Its errors
// include ErrNoJava and ErrNoMaven.
func FetchKafka(ctx context.Context, cache string, progress func(string)) (string, error) {
	cache, err := cacheDir(cache)
	if err != nil {
		return "", err
	}
	if progress == nil {
		progress = func(string) {}
	}
	if _, err := findJava(ctx); err != nil {
		return "", err // the jars are of no use without it, and Maven is written in Java
	}
	dest := filepath.Join(cache, "kafka", kafkaVersion+"-logging") // versions of dwell before had no logger in theirs
	err = install(ctx, dest, func(tmp string) error { return mavenCopy(ctx, tmp, progress) })
	if err != nil {
		return "", fmt.Errorf("fetch Kafka %s: %w", kafkaVersion, err)
	}
	return dest, nil
}

// pom asks for the broker and everything it needs at run time, and for a logger: without one of SLF4J's
// own version a broker that does not come up says nothing.
const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + kafkaVersion + `</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency></dependencies>
</project>
`

// mavenCopy leaves the jars, and nothing else, in dir.
func mavenCopy(ctx context.Context, dir string, say func(string)) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return fmt.Errorf("%w: install it (Debian, Ubuntu: sudo apt-get install maven; macOS: brew install maven) and try again", ErrNoMaven)
	}
	work, err := os.MkdirTemp("", "dwell-maven-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	file := filepath.Join(work, "pom.xml")
	if err := os.WriteFile(file, []byte(pom), 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "--strict-checksums", "-f", file,
		"dependency:copy-dependencies", "-DoutputDirectory="+dir, "-DincludeScope=runtime")
	cmd.Dir = work
	cmd.WaitDelay = 5 * time.Second
	say("fetching Kafka " + kafkaVersion + " through Maven (43 MB)")
	out, err := saying(cmd, "still fetching Kafka "+kafkaVersion, say)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("mvn dependency:copy-dependencies: %w: %s: check that Maven reaches its repository, then try again", err, firstLine(out))
	}
	return nil
}

var javaVersion = regexp.MustCompile(`version "(\d+)(?:\.(\d+))?`)

// findJava returns a java that is new enough: JAVA_HOME's, else the PATH's.
func findJava(ctx context.Context) (string, error) {
	const install = "install one (Debian, Ubuntu: sudo apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17) and try again"
	java := ""
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java = filepath.Join(home, "bin", "java")
	} else {
		var err error
		if java, err = exec.LookPath("java"); err != nil {
			return "", fmt.Errorf("%w: Java %d or newer is needed: %s", ErrNoJava, javaNeeded, install)
		}
	}
	out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("%w: %s -version: %w: %s", ErrNoJava, java, err, install)
	}
	if v := majorVersion(string(out)); v < javaNeeded {
		return "", fmt.Errorf("%w: %s is version %d, %d or newer is needed: %s", ErrNoJava, java, v, javaNeeded, install)
	}
	return java, nil
}

// majorVersion reads what java -version says; Java 8 calls itself 1.8.
func majorVersion(out string) int {
	m := javaVersion.FindStringSubmatch(out)
	if m == nil {
		return 0
	}
	v, _ := strconv.Atoi(m[1])
	if v == 1 {
		v, _ = strconv.Atoi(m[2])
	}
	return v
}
