// Package peers holds the source of the applications in Java that dwell bench measures beside dwell,
// where a JDK and Maven are there.
package peers

import "embed"

// Files are Counter.java, the Kafka Streams application of bench core and bench latency, and Cep.java in
// the folder flink, the Flink job of bench decide, each with a pom.xml of the jars that it needs.
//
//go:embed Counter.java pom.xml flink/Cep.java flink/pom.xml
var Files embed.FS
