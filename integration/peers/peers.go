// Package peers holds the source of the Kafka Streams application that dwell bench core and dwell
// bench latency measure beside dwell, where a JDK and Maven are there.
package peers

import "embed"

// Files are Counter.java, the application, and pom.xml, the jars that it needs.
//
//go:embed Counter.java pom.xml
var Files embed.FS
